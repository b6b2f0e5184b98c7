// The AWS SDK for Go behind the commands of compat-tests/README.md.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

// Commands on stdin, until it ends.
func kinesisSession(endpoint string) error {
	client := kinesis.New(kinesis.Options{
		BaseEndpoint:     &endpoint,
		Region:           "us-east-1",
		Credentials:      credentials.NewStaticCredentialsProvider("any", "thing", ""),
		RetryMaxAttempts: 1,
	})
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		words := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		lines, err := kinesisAnswer(client, words[0], words[1:])
		var refused smithy.APIError
		if errors.As(err, &refused) {
			lines = []string{"error\t" + refused.ErrorCode() + "\t" + refused.ErrorMessage()}
		} else if err != nil {
			return err
		}
		for _, answer := range append(lines, ".") {
			fmt.Println(answer)
		}
	}
}

func kinesisAnswer(client *kinesis.Client, command string, words []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	stream := &words[0]
	switch command {
	case "create":
		count := int32(number(words[1]))
		_, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: stream, ShardCount: &count})
		return nil, err
	case "put":
		entry, err := putEntry(words[1:4])
		if err != nil {
			return nil, err
		}
		told, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
			StreamName: stream, PartitionKey: entry.PartitionKey, ExplicitHashKey: entry.ExplicitHashKey, Data: entry.Data,
		})
		if err != nil {
			return nil, err
		}
		return []string{*told.ShardId + "\t" + *told.SequenceNumber}, nil
	case "puts":
		return puts(ctx, client, stream, words[1:])
	case "iterator":
		return iterator(ctx, client, words)
	case "records":
		return records(ctx, client, words[0], int32(number(words[1])))
	case "split":
		_, err := client.SplitShard(ctx, &kinesis.SplitShardInput{
			StreamName: stream, ShardToSplit: &words[1], NewStartingHashKey: &words[2],
		})
		return nil, err
	case "merge":
		_, err := client.MergeShards(ctx, &kinesis.MergeShardsInput{
			StreamName: stream, ShardToMerge: &words[1], AdjacentShardToMerge: &words[2],
		})
		return nil, err
	case "count":
		count := int32(number(words[1]))
		_, err := client.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
			StreamName: stream, TargetShardCount: &count, ScalingType: types.ScalingTypeUniformScaling,
		})
		return nil, err
	case "shards":
		return shards(ctx, client, stream)
	case "subscribe":
		return subscribe(ctx, client, words[0], words[1], int(number(words[2])))
	case "delete":
		_, err := client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: stream})
		return nil, err
	}
	return nil, fmt.Errorf("no such command: %s", command)
}

// A record from its key, its hash key or "-", and its data.
func putEntry(words []string) (types.PutRecordsRequestEntry, error) {
	data, err := hex.DecodeString(words[2])
	entry := types.PutRecordsRequestEntry{PartitionKey: &words[0], Data: data}
	if words[1] != "-" {
		entry.ExplicitHashKey = &words[1]
	}
	return entry, err
}

func puts(ctx context.Context, client *kinesis.Client, stream *string, words []string) ([]string, error) {
	input := kinesis.PutRecordsInput{StreamName: stream}
	for ; len(words) > 0; words = words[3:] {
		entry, err := putEntry(words[:3])
		if err != nil {
			return nil, err
		}
		input.Records = append(input.Records, entry)
	}
	told, err := client.PutRecords(ctx, &input)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, one := range told.Records {
		lines = append(lines, *one.ShardId+"\t"+*one.SequenceNumber)
	}
	return lines, nil
}

func iterator(ctx context.Context, client *kinesis.Client, words []string) ([]string, error) {
	input := kinesis.GetShardIteratorInput{
		StreamName: &words[0], ShardId: &words[1], ShardIteratorType: types.ShardIteratorType(words[2]),
	}
	switch {
	case input.ShardIteratorType == types.ShardIteratorTypeAtTimestamp:
		input.Timestamp = aws.Time(time.UnixMilli(number(words[3])))
	case len(words) > 3:
		input.StartingSequenceNumber = &words[3]
	}
	told, err := client.GetShardIterator(ctx, &input)
	if err != nil {
		return nil, err
	}
	return []string{*told.ShardIterator}, nil
}

func records(ctx context.Context, client *kinesis.Client, iterator string, limit int32) ([]string, error) {
	got, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &iterator, Limit: &limit})
	if err != nil {
		return nil, err
	}
	next := "-"
	if got.NextShardIterator != nil {
		next = *got.NextShardIterator
	}
	var children []string
	for _, child := range got.ChildShards {
		children = append(children, *child.ShardId)
	}
	first := fmt.Sprintf("%s\t%d\t%s", next, *got.MillisBehindLatest, strings.Join(children, ","))
	return append([]string{first}, recordLines(got.Records)...), nil
}

func recordLines(records []types.Record) []string {
	var lines []string
	for _, record := range records {
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%d", *record.SequenceNumber, *record.PartitionKey,
			hex.EncodeToString(record.Data), record.ApproximateArrivalTimestamp.UnixMilli()))
	}
	return lines
}

func shards(ctx context.Context, client *kinesis.Client, stream *string) ([]string, error) {
	told, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: stream})
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, shard := range told.Shards {
		var parents []string
		for _, parent := range []*string{shard.ParentShardId, shard.AdjacentParentShardId} {
			if parent != nil {
				parents = append(parents, *parent)
			}
		}
		state := "closed"
		if shard.SequenceNumberRange.EndingSequenceNumber == nil {
			state = "open"
		}
		lines = append(lines, strings.Join([]string{*shard.ShardId, strings.Join(parents, ","),
			*shard.HashKeyRange.StartingHashKey, *shard.HashKeyRange.EndingHashKey, state}, "\t"))
	}
	return lines, nil
}

// The first records of a shard, pushed.
func subscribe(ctx context.Context, client *kinesis.Client, consumer, shard string, count int) ([]string, error) {
	told, err := client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
		ConsumerARN: &consumer, ShardId: &shard,
		StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
	})
	if err != nil {
		return nil, err
	}
	stream := told.GetStream()
	defer stream.Close()
	var lines []string
	for event := range stream.Events() {
		if pushed, ok := event.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent); ok {
			lines = append(lines, recordLines(pushed.Value.Records)...)
		}
		if len(lines) >= count {
			return lines, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("only %d records were pushed", len(lines)), stream.Err())
}
