// The AWS SDK for JavaScript behind the commands of compat-tests/README.md: kinesis_session.js ENDPOINT
// It speaks HTTP/2 with prior knowledge of its own accord.
const readline = require("node:readline");
const aws = require("@aws-sdk/client-kinesis");

const kinesis = new aws.KinesisClient({
  endpoint: process.argv[2],
  region: "us-east-1",
  maxAttempts: 1,
  credentials: { accessKeyId: "any", secretAccessKey: "thing" },
});

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const orUndefined = (text) => (text === "-" ? undefined : text);
const entry = ([key, hash, data]) => ({
  PartitionKey: key,
  ExplicitHashKey: orUndefined(hash),
  Data: Buffer.from(data, "hex"),
});
const recordLine = (record) =>
  [record.SequenceNumber, record.PartitionKey, hex(record.Data), record.ApproximateArrivalTimestamp.getTime()].join("\t");

const commands = {
  async create(StreamName, count) {
    await kinesis.send(new aws.CreateStreamCommand({ StreamName, ShardCount: Number(count) }));
  },
  async put(StreamName, ...record) {
    const told = await kinesis.send(new aws.PutRecordCommand({ StreamName, ...entry(record) }));
    return [`${told.ShardId}\t${told.SequenceNumber}`];
  },
  async puts(StreamName, ...words) {
    const Records = [];
    for (let at = 0; at < words.length; at += 3) Records.push(entry(words.slice(at, at + 3)));
    const told = await kinesis.send(new aws.PutRecordsCommand({ StreamName, Records }));
    return told.Records.map((one) => `${one.ShardId}\t${one.SequenceNumber}`);
  },
  async iterator(StreamName, ShardId, ShardIteratorType, where) {
    const input = { StreamName, ShardId, ShardIteratorType };
    if (ShardIteratorType === "AT_TIMESTAMP") input.Timestamp = new Date(Number(where));
    else if (where !== undefined) input.StartingSequenceNumber = where;
    return [(await kinesis.send(new aws.GetShardIteratorCommand(input))).ShardIterator];
  },
  async records(ShardIterator, limit) {
    const got = await kinesis.send(new aws.GetRecordsCommand({ ShardIterator, Limit: Number(limit) }));
    const children = (got.ChildShards ?? []).map((child) => child.ShardId).join(",");
    const first = [got.NextShardIterator ?? "-", got.MillisBehindLatest, children].join("\t");
    return [first, ...got.Records.map(recordLine)];
  },
  async split(StreamName, ShardToSplit, NewStartingHashKey) {
    await kinesis.send(new aws.SplitShardCommand({ StreamName, ShardToSplit, NewStartingHashKey }));
  },
  async merge(StreamName, ShardToMerge, AdjacentShardToMerge) {
    await kinesis.send(new aws.MergeShardsCommand({ StreamName, ShardToMerge, AdjacentShardToMerge }));
  },
  async count(StreamName, target) {
    const input = { StreamName, TargetShardCount: Number(target), ScalingType: "UNIFORM_SCALING" };
    await kinesis.send(new aws.UpdateShardCountCommand(input));
  },
  async shards(StreamName) {
    const { Shards } = await kinesis.send(new aws.ListShardsCommand({ StreamName }));
    return Shards.map((shard) => {
      const parents = [shard.ParentShardId, shard.AdjacentParentShardId].filter((parent) => parent !== undefined);
      const { StartingHashKey, EndingHashKey } = shard.HashKeyRange;
      const isOpen = shard.SequenceNumberRange.EndingSequenceNumber === undefined;
      return [shard.ShardId, parents.join(","), StartingHashKey, EndingHashKey, isOpen ? "open" : "closed"].join("\t");
    });
  },
  // The first COUNT records of a shard, pushed.
  async subscribe(ConsumerARN, ShardId, count) {
    const input = { ConsumerARN, ShardId, StartingPosition: { Type: "TRIM_HORIZON" } };
    const { EventStream } = await kinesis.send(new aws.SubscribeToShardCommand(input));
    const lines = [];
    for await (const { SubscribeToShardEvent: pushed } of EventStream) {
      if (pushed) lines.push(...pushed.Records.map(recordLine));
      if (lines.length >= Number(count)) break;
    }
    return lines;
  },
  async delete(StreamName) {
    await kinesis.send(new aws.DeleteStreamCommand({ StreamName }));
  },
};

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...words] = line.split("\t");
    try {
      for (const answer of (await commands[command](...words)) ?? []) console.log(answer);
    } catch (refused) {
      if (!(refused instanceof aws.KinesisServiceException)) throw refused;
      console.log(`error\t${refused.name}\t${refused.message}`);
    }
    console.log(".");
  }
  process.exit(0);
}

main();
