// kafkajs behind the commands of compat-tests/README.md. It has no way to read without a consumer
// group, so `consume` is missing; group_member.js reads in one.
'use strict';

const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs');
const lz4 = require('lz4-napi');
const snappy = require('snappyjs');
const zstd = require('@bokuweb/zstd-wasm');

const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

// kafkajs brings gzip alone.
CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async (encoder) => Buffer.from(snappy.compress(encoder.buffer)),
});
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4.compressFrame(encoder.buffer),
});
const zstdIsReady = zstd.init();
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => {
    await zstdIsReady;
    return Buffer.from(zstd.compress(encoder.buffer, 3));
  },
});

const fromText = (text) => (text === '-' ? null : Buffer.from(text, 'hex'));

function parseRecord(line) {
  const [partition, timestamp, key, value, headers] = line.split('\t');
  const message = { partition: Number(partition), timestamp, key: fromText(key), value: fromText(value), headers: {} };
  for (const pair of headers.split(',').filter(Boolean)) {
    const [name, text] = pair.split('=');
    message.headers[Buffer.from(name, 'hex').toString()] = fromText(text);
  }
  return message;
}

async function withAdmin(kafka, use) {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

async function create(kafka, topic, partitions, ...configs) {
  const configEntries = configs.map((pair) => {
    const [name, ...value] = pair.split('=');
    return { name, value: value.join('=') };
  });
  const wanted = { topic, numPartitions: Number(partitions), replicationFactor: 1, configEntries };
  const made = await withAdmin(kafka, (admin) => admin.createTopics({ topics: [wanted] }));
  if (!made) throw new Error(`${topic} exists`);
}

async function remove(kafka, topic) {
  await withAdmin(kafka, (admin) => admin.deleteTopics({ topics: [topic] }));
}

async function produce(kafka, topic, codec, idempotent) {
  const input = require('fs').readFileSync(0, 'utf8');
  const messages = input.split('\n').filter(Boolean).map(parseRecord);
  const producer = kafka.producer({ idempotent: idempotent === 'true', allowAutoTopicCreation: false });
  await producer.connect();
  const results = await producer.send({ topic, messages, acks: -1, compression: CODECS[codec] });
  // One base offset for each partition: its messages follow in the order given.
  const next = new Map(results.map(({ partition, baseOffset }) => [partition, BigInt(baseOffset)]));
  for (const { partition } of messages) {
    console.log(`${partition}\t${next.get(partition)}`);
    next.set(partition, next.get(partition) + 1n);
  }
  await producer.disconnect();
}

async function offset(kafka, topic, partition, timestamp) {
  const offsets = await withAdmin(kafka, (admin) => admin.fetchTopicOffsetsByTimestamp(topic, Number(timestamp)));
  console.log(offsets.find((one) => one.partition === Number(partition)).offset);
}

/** How far a group is behind in each partition that it has committed, as kafkajs' users work it out. */
async function lag(kafka, group, topic) {
  const [ends, [committed]] = await withAdmin(kafka, (admin) =>
    Promise.all([admin.fetchTopicOffsets(topic), admin.fetchOffsets({ groupId: group, topics: [topic] })]),
  );
  for (const { partition, offset } of committed.partitions) {
    if (offset === '-1') continue;
    const end = ends.find((one) => one.partition === partition).offset;
    console.log(`${partition}\t${BigInt(end) - BigInt(offset)}`);
  }
}

const COMMANDS = { create, delete: remove, produce, offset, lag };

const [command, bootstrap, ...rest] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR, retry: { retries: 3 } });
COMMANDS[command](kafka, ...rest).catch((error) => {
  console.error(error);
  process.exit(1);
});
