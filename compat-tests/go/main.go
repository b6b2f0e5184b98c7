// franz-go behind the commands of compat-tests/README.md; and the AWS SDK, see kinesis_session.go.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const timeout = 30 * time.Second

func main() {
	if os.Args[1] == "member" {
		if err := member(os.Args[2], os.Args[3], os.Args[4], os.Args[5:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Args[1] == "kinesis" {
		if err := kinesisSession(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := run(ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command, bootstrap, topic string, rest []string) error {
	switch command {
	case "create":
		return create(ctx, bootstrap, topic, rest)
	case "delete":
		return remove(ctx, bootstrap, topic)
	case "produce":
		return produce(ctx, bootstrap, topic, rest[0], rest[1] == "true")
	case "consume":
		return consume(ctx, bootstrap, topic, number(rest[0]), number(rest[1]), number(rest[2]))
	case "offset":
		return offset(ctx, bootstrap, topic, number(rest[0]), number(rest[1]))
	case "lag":
		// Here the third word is a group.
		return lag(ctx, bootstrap, topic, rest[0])
	}
	return fmt.Errorf("no such command: %s", command)
}

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return value
}

func admin(bootstrap string) (*kadm.Client, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

func create(ctx context.Context, bootstrap, topic string, rest []string) error {
	client, err := admin(bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	configs := map[string]*string{}
	for _, pair := range rest[1:] {
		name, value, _ := strings.Cut(pair, "=")
		configs[name] = &value
	}
	_, err = client.CreateTopic(ctx, int32(number(rest[0])), 1, configs, topic)
	return err
}

func remove(ctx context.Context, bootstrap, topic string) error {
	client, err := admin(bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.DeleteTopic(ctx, topic)
	return err
}

func codecOf(name string) kgo.CompressionCodec {
	switch name {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

func produce(ctx context.Context, bootstrap, topic, codec string, idempotent bool) error {
	options := []kgo.Opt{
		kgo.SeedBrokers(bootstrap),
		kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecOf(codec)),
		kgo.ProducerLinger(20 * time.Millisecond),
	}
	if !idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		record, err := parseRecord(lines.Text())
		if err != nil {
			return err
		}
		records = append(records, record)
	}
	if err := errors.Join(lines.Err(), client.ProduceSync(ctx, records...).FirstErr()); err != nil {
		return err
	}
	for _, record := range records {
		fmt.Printf("%d\t%d\n", record.Partition, record.Offset)
	}
	return nil
}

func consume(ctx context.Context, bootstrap, topic string, partition, offset, count int64) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			topic: {int32(partition): kgo.NewOffset().At(offset)},
		}),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for count > 0 {
		fetches := client.PollRecords(ctx, int(count))
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			fmt.Fprintf(out, "%d\t%d\t%d\t%s\t%s\t%s\n", record.Offset, record.Partition,
				record.Timestamp.UnixMilli(), toText(record.Key), toText(record.Value), headersToText(record.Headers))
			count--
		})
	}
	return nil
}

func offset(ctx context.Context, bootstrap, topic string, partition, timestamp int64) error {
	client, err := admin(bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	listed, err := client.ListOffsetsAfterMilli(ctx, timestamp, topic)
	if err := errors.Join(err, listed.Error()); err != nil {
		return err
	}
	found, _ := listed.Lookup(topic, int32(partition))
	// kadm answers a time after the last record with the end of the log and no timestamp.
	if found.Timestamp < 0 {
		found.Offset = -1
	}
	fmt.Println(found.Offset)
	return nil
}

func parseRecord(line string) (*kgo.Record, error) {
	fields := strings.Split(line, "\t")
	record := &kgo.Record{
		Partition: int32(number(fields[0])),
		Timestamp: time.UnixMilli(number(fields[1])),
	}
	var errs [3]error
	record.Key, errs[0] = fromText(fields[2])
	record.Value, errs[1] = fromText(fields[3])
	for _, pair := range strings.FieldsFunc(fields[4], func(r rune) bool { return r == ',' }) {
		name, value, _ := strings.Cut(pair, "=")
		header := kgo.RecordHeader{}
		var key []byte
		key, errs[2] = hex.DecodeString(name)
		header.Key = string(key)
		var err error
		if header.Value, err = fromText(value); err != nil {
			return nil, err
		}
		record.Headers = append(record.Headers, header)
	}
	return record, errors.Join(errs[:]...)
}

func headersToText(headers []kgo.RecordHeader) string {
	var pairs []string
	for _, header := range headers {
		pairs = append(pairs, hex.EncodeToString([]byte(header.Key))+"="+toText(header.Value))
	}
	return strings.Join(pairs, ",")
}

func fromText(text string) ([]byte, error) {
	if text == "-" {
		return nil, nil
	}
	// Empty is not nil: nil is a null in Kafka.
	bytes, err := hex.DecodeString(text)
	if bytes == nil {
		bytes = []byte{}
	}
	return bytes, err
}

func toText(bytes []byte) string {
	if bytes == nil {
		return "-"
	}
	return hex.EncodeToString(bytes)
}
