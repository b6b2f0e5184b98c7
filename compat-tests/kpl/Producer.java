import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/**
 * Puts records with the Kinesis Producer Library: Producer HOST PORT STS-PORT FOLDER STREAM COUNT
 *
 * <p>The native program is unpacked into the folder. Record n has the key key-(n / 2 mod 7) and the data data-n. Prints
 * shard and sequence number of each.
 */
public class Producer {
    public static void main(String[] arguments) throws Exception {
        var port = Long.parseLong(arguments[1]);
        var configuration = new KinesisProducerConfiguration()
            .setRegion("us-east-1")
            .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("any", "thing")))
            .setKinesisEndpoint(arguments[0]).setKinesisPort(port)
            // It asks whose account it is, and ends without an answer.
            .setStsEndpoint(arguments[0]).setStsPort(Long.parseLong(arguments[2]))
            // The certificate is self-signed.
            .setVerifyCertificate(false)
            .setTempDirectory(arguments[3])
            .setMetricsLevel("none");
        var producer = new KinesisProducer(configuration);
        var puts = new ArrayList<Future<UserRecordResult>>();
        var count = Integer.parseInt(arguments[5]);
        var isAggregating = false;
        for (var n = 0; n < count; n++) {
            var data = ByteBuffer.wrap(("data-" + n).getBytes(StandardCharsets.UTF_8));
            puts.add(producer.addUserRecord(arguments[4], "key-" + n / 2 % 7, data));
            // Until it knows the stream's shards, it puts each record alone.
            if (n % 2 == 1 && !isAggregating) {
                producer.flush();
                var pair = List.of(puts.get(n - 1).get(60, TimeUnit.SECONDS), puts.get(n).get(60, TimeUnit.SECONDS));
                isAggregating = pair.get(0).getSequenceNumber().equals(pair.get(1).getSequenceNumber());
                Thread.sleep(100);
            }
        }
        producer.flush();
        for (var put : puts) {
            var told = put.get(60, TimeUnit.SECONDS);
            System.out.println(told.getShardId() + "\t" + told.getSequenceNumber());
        }
        producer.destroy();
    }
}
