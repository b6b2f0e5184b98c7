// A member of a consumer group, as compat-tests/README.md describes it, and a group's lag.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The settings of a member by Kafka's names.
func optionsOf(pairs []string) ([]kgo.Opt, error) {
	var options []kgo.Opt
	milliseconds := func(value string) time.Duration { return time.Duration(number(value)) * time.Millisecond }
	assignors := map[string]kgo.GroupBalancer{
		"range":              kgo.RangeBalancer(),
		"uniform":            kgo.StickyBalancer(),
		"cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}
	assignor := "cooperative-sticky"
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		switch name {
		case "session.timeout.ms":
			options = append(options, kgo.SessionTimeout(milliseconds(value)))
		case "heartbeat.interval.ms":
			options = append(options, kgo.HeartbeatInterval(milliseconds(value)))
		case "group.instance.id":
			options = append(options, kgo.InstanceID(value))
		case "group.protocol":
			// It asks the coordinator for the assignor that comes nearest to its balancer.
			options = append(options, kgo.ServerSideBalancer())
			assignor = "uniform"
		case "group.remote.assignor", "partition.assignment.strategy":
			assignor = value
		default:
			return nil, fmt.Errorf("no such setting: %s", name)
		}
	}
	balancer, known := assignors[assignor]
	if !known {
		return nil, fmt.Errorf("no such assignor: %s", assignor)
	}
	return append(options, kgo.Balancers(balancer)), nil
}

// What a member holds, told whenever it changes.
type holding map[string]bool

func (held holding) gain(partitions map[string][]int32) {
	held.each(partitions, func(name string) { held[name] = true })
	held.tell()
}

func (held holding) lose(partitions map[string][]int32) {
	count := len(held)
	held.each(partitions, func(name string) { delete(held, name) })
	// The end of every session is told, be there nothing to give up.
	if len(held) < count {
		held.tell()
	}
}

func (holding) each(partitions map[string][]int32, do func(string)) {
	for topic, numbers := range partitions {
		for _, number := range numbers {
			do(fmt.Sprintf("%s-%d", topic, number))
		}
	}
}

func (held holding) tell() {
	var names []string
	for name := range held {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Printf("assigned\t%s\n", strings.Join(names, ","))
}

func member(bootstrap, group, topic string, pairs []string) error {
	chosen, err := optionsOf(pairs)
	if err != nil {
		return err
	}
	held := holding{}
	stopping, stop := context.WithCancel(context.Background())
	options := append(chosen,
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		// Nothing is taken away between a poll and its commit.
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxWait(100*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			held.gain(partitions)
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			// One that leaves no longer tells what it is assigned.
			if stopping.Err() == nil {
				held.lose(partitions)
			}
		}),
		kgo.OnPartitionsLost(func(context.Context, *kgo.Client, map[string][]int32) {
			clear(held)
			fmt.Println("lost")
		}),
	)
	if strings.HasPrefix(topic, "^") {
		options = append(options, kgo.ConsumeRegex())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	for stopping.Err() == nil {
		poll(stopping, client)
	}
	client.CloseAllowingRebalance()
	fmt.Println("closed")
	return nil
}

// Reads what there is and commits it.
func poll(stopping context.Context, client *kgo.Client) {
	defer client.AllowRebalance()
	fetches := client.PollRecords(stopping, 100)
	fetches.EachError(func(topic string, partition int32, err error) {
		if stopping.Err() == nil {
			fmt.Fprintf(os.Stderr, "%s-%d: %v\n", topic, partition, err)
		}
	})
	records := fetches.Records()
	for _, record := range records {
		fmt.Printf("record\t%s\t%d\t%d\t%s\n", record.Topic, record.Partition, record.Offset, record.Value)
	}
	if len(records) == 0 {
		return
	}
	// The last commit is made even if it is to end by now.
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := client.CommitRecords(ctx, records...); err != nil {
		fmt.Fprintln(os.Stderr, "commit:", err)
		return
	}
	fmt.Println("committed")
}

// How far a group is behind in each partition that it has committed.
func lag(ctx context.Context, bootstrap, group, topic string) error {
	client, err := admin(bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	lags, err := client.Lag(ctx, group)
	if err != nil {
		return err
	}
	if err := lags.Error(); err != nil {
		return err
	}
	for _, partition := range lags[group].Lag.Sorted() {
		if partition.Topic == topic && partition.Commit.At >= 0 {
			fmt.Printf("%d\t%d\n", partition.Partition, partition.Lag)
		}
	}
	return nil
}
