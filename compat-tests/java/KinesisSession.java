import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Proxy;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.KinesisException;
import software.amazon.awssdk.services.kinesis.model.PutRecordsRequestEntry;
import software.amazon.awssdk.services.kinesis.model.Record;
import software.amazon.awssdk.services.kinesis.model.ScalingType;
import software.amazon.awssdk.services.kinesis.model.Shard;
import software.amazon.awssdk.services.kinesis.model.ShardIteratorType;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;

/** The AWS SDK for Java behind the commands of README.md: KinesisSession ENDPOINT sync|async */
public class KinesisSession {
    private static final int PATIENCE_SECONDS = 30;

    private final KinesisAsyncClient async;
    private final KinesisClient kinesis;

    private KinesisSession(URI endpoint, boolean isAsync) {
        var credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "thing"));
        async = KinesisAsyncClient.builder()
            .endpointOverride(endpoint).region(Region.US_EAST_1).credentialsProvider(credentials).build();
        kinesis = isAsync ? waiting(async) : KinesisClient.builder()
            .endpointOverride(endpoint).region(Region.US_EAST_1).credentialsProvider(credentials).build();
    }

    /** The synchronous calls, each made through the asynchronous client, whose methods have the same names. */
    private static KinesisClient waiting(KinesisAsyncClient async) {
        var loader = KinesisSession.class.getClassLoader();
        return (KinesisClient) Proxy.newProxyInstance(loader, new Class<?>[] {KinesisClient.class}, (proxy, call, given) -> {
            var same = KinesisAsyncClient.class.getMethod(call.getName(), call.getParameterTypes());
            try {
                return ((CompletableFuture<?>) same.invoke(async, given)).join();
            } catch (CompletionException failed) {
                throw failed.getCause();
            }
        });
    }

    public static void main(String[] arguments) throws Exception {
        var session = new KinesisSession(URI.create(arguments[0]), arguments[1].equals("async"));
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                session.answer(line.split("\t", -1)).forEach(out::println);
            } catch (KinesisException refused) {
                out.println("error\t" + refused.awsErrorDetails().errorCode() + "\t" + refused.awsErrorDetails().errorMessage());
            }
            out.println(".");
        }
        System.exit(0);
    }

    private List<String> answer(String[] word) throws Exception {
        switch (word[0]) {
            case "create":
                kinesis.createStream(r -> r.streamName(word[1]).shardCount(Integer.valueOf(word[2])));
                return List.of();
            case "put":
                var put = kinesis.putRecord(r -> r.streamName(word[1]).partitionKey(word[2])
                    .explicitHashKey(orNull(word[3])).data(bytes(word[4])));
                return List.of(put.shardId() + "\t" + put.sequenceNumber());
            case "puts":
                return puts(word);
            case "iterator":
                return List.of(iterator(word));
            case "records":
                return records(word[1], Integer.parseInt(word[2]));
            case "split":
                kinesis.splitShard(r -> r.streamName(word[1]).shardToSplit(word[2]).newStartingHashKey(word[3]));
                return List.of();
            case "merge":
                kinesis.mergeShards(r -> r.streamName(word[1]).shardToMerge(word[2]).adjacentShardToMerge(word[3]));
                return List.of();
            case "count":
                kinesis.updateShardCount(r -> r.streamName(word[1]).targetShardCount(Integer.valueOf(word[2]))
                    .scalingType(ScalingType.UNIFORM_SCALING));
                return List.of();
            case "shards":
                return kinesis.listShards(r -> r.streamName(word[1])).shards().stream().map(KinesisSession::line).toList();
            case "subscribe":
                return subscribe(word[1], word[2], Integer.parseInt(word[3]));
            case "delete":
                kinesis.deleteStream(r -> r.streamName(word[1]));
                return List.of();
            default:
                throw new IllegalArgumentException("no such command: " + word[0]);
        }
    }

    private List<String> puts(String[] word) {
        var entries = new ArrayList<PutRecordsRequestEntry>();
        for (int at = 2; at < word.length; at += 3) {
            entries.add(PutRecordsRequestEntry.builder().partitionKey(word[at])
                .explicitHashKey(orNull(word[at + 1])).data(bytes(word[at + 2])).build());
        }
        var told = kinesis.putRecords(r -> r.streamName(word[1]).records(entries));
        return told.records().stream().map(one -> one.shardId() + "\t" + one.sequenceNumber()).toList();
    }

    private String iterator(String[] word) {
        var type = ShardIteratorType.fromValue(word[3]);
        return kinesis.getShardIterator(r -> {
            r.streamName(word[1]).shardId(word[2]).shardIteratorType(type);
            if (type == ShardIteratorType.AT_TIMESTAMP) {
                r.timestamp(Instant.ofEpochMilli(Long.parseLong(word[4])));
            } else if (word.length > 4) {
                r.startingSequenceNumber(word[4]);
            }
        }).shardIterator();
    }

    private List<String> records(String iterator, int limit) {
        var got = kinesis.getRecords(r -> r.shardIterator(iterator).limit(limit));
        var next = got.nextShardIterator() == null ? "-" : got.nextShardIterator();
        var children = String.join(",", got.childShards().stream().map(child -> child.shardId()).toList());
        var lines = new ArrayList<>(List.of(next + "\t" + got.millisBehindLatest() + "\t" + children));
        got.records().forEach(record -> lines.add(line(record)));
        return lines;
    }

    /** The first COUNT records of a shard, pushed. */
    private List<String> subscribe(String consumer, String shard, int count) throws Exception {
        var records = new LinkedBlockingQueue<Record>();
        var handler = SubscribeToShardResponseHandler.builder().subscriber(event -> {
            if (event instanceof SubscribeToShardEvent pushed) {
                records.addAll(pushed.records());
            }
        }).build();
        var call = async.subscribeToShard(r -> r.consumerARN(consumer).shardId(shard)
            .startingPosition(p -> p.type(ShardIteratorType.TRIM_HORIZON)), handler);
        var lines = new ArrayList<String>();
        while (lines.size() < count) {
            var record = records.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
            if (record == null) {
                throw new IllegalStateException("only " + lines.size() + " records were pushed; done: " + call.isDone());
            }
            lines.add(line(record));
        }
        call.cancel(true);
        return lines;
    }

    private static String line(Record record) {
        return String.join("\t", record.sequenceNumber(), record.partitionKey(),
            HexFormat.of().formatHex(record.data().asByteArray()),
            String.valueOf(record.approximateArrivalTimestamp().toEpochMilli()));
    }

    private static String line(Shard shard) {
        var parents = new ArrayList<String>();
        for (String parent : new String[] {shard.parentShardId(), shard.adjacentParentShardId()}) {
            if (parent != null) {
                parents.add(parent);
            }
        }
        var isOpen = shard.sequenceNumberRange().endingSequenceNumber() == null;
        return String.join("\t", shard.shardId(), String.join(",", parents), shard.hashKeyRange().startingHashKey(),
            shard.hashKeyRange().endingHashKey(), isOpen ? "open" : "closed");
    }

    private static String orNull(String text) {
        return text.equals("-") ? null : text;
    }

    private static SdkBytes bytes(String hexadecimal) {
        return SdkBytes.fromByteArray(HexFormat.of().parseHex(hexadecimal));
    }
}
