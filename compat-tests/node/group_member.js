// A member of a consumer group (kafkajs), as compat-tests/README.md describes it, until its stdin ends.
'use strict';

const { Kafka, logLevel } = require('kafkajs');

// Kafka's names of the settings that kafkajs has, and its own names for them.
const NUMBERS = {
  'session.timeout.ms': 'sessionTimeout',
  'heartbeat.interval.ms': 'heartbeatInterval',
  'max.poll.interval.ms': 'rebalanceTimeout',
};

function settingsOf(pairs) {
  const settings = {};
  for (const pair of pairs) {
    const [name, value] = pair.split('=');
    if (!(name in NUMBERS)) throw new Error(`kafkajs has no ${name}`);
    settings[NUMBERS[name]] = Number(value);
  }
  return settings;
}

async function main(bootstrap, group, topic, ...pairs) {
  const retry = { retries: 30, initialRetryTime: 100, maxRetryTime: 1000 };
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR, retry });
  // It sends heartbeats between its fetches only, so these must be short.
  const consumer = kafka.consumer({ groupId: group, maxWaitTimeInMs: 100, ...settingsOf(pairs) });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    const held = Object.entries(payload.memberAssignment)
      .flatMap(([name, partitions]) => partitions.map((partition) => `${name}-${partition}`))
      .sort();
    console.log(`assigned\t${held.join(',')}`);
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, isRunning, isStale }) => {
      if (!isRunning() || isStale()) return;
      for (const { offset, value } of batch.messages) {
        console.log(`record\t${batch.topic}\t${batch.partition}\t${offset}\t${value}`);
      }
      const offset = (BigInt(batch.lastOffset()) + 1n).toString();
      await consumer.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset }]);
      console.log('committed');
    },
  });
  await new Promise((resolve) => process.stdin.on('end', resolve).resume());
  await consumer.disconnect();
  console.log('closed');
}

main(...process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
