// storereader reads a StoreAPI endpoint through Thanos's own client, proxy and deduplication code, and prints what it
// gets, one JSON object a line. Tests compare that with what they wrote.
//
//	storereader --endpoint HOST:PORT series [--matcher NAME=VALUE]… [--min-time MS] [--max-time MS] [--replica-label NAME]…
//	storereader --endpoint HOST:PORT labels | values NAME | info
//	storereader --endpoint HOST:PORT query EXPRESSION TIME_MS
//	storereader --tls-ca FILE [--tls-cert FILE --tls-key FILE] …
//
// Build it with the tags netgo,slicelabels, as Thanos's own release is.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/opentracing/opentracing-go"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/thanos-io/thanos/pkg/component"
	"github.com/thanos-io/thanos/pkg/dedup"
	"github.com/thanos-io/thanos/pkg/extgrpc"
	"github.com/thanos-io/thanos/pkg/query"
	"github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/tls"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

type arguments struct {
	endpoints, matchers, replicaLabels list
	minTime, maxTime                   int64
	ca, cert, key                      string
}

func main() {
	var a arguments
	flag.Var(&a.endpoints, "endpoint", "StoreAPI address (repeatable)")
	flag.Var(&a.matchers, "matcher", "NAME=VALUE, NAME!=VALUE, NAME=~RE or NAME!~RE (repeatable)")
	flag.Var(&a.replicaLabels, "replica-label", "label of replicas (repeatable); deduplicates")
	flag.Int64Var(&a.minTime, "min-time", math.MinInt64, "oldest time, ms")
	flag.Int64Var(&a.maxTime, "max-time", math.MaxInt64, "newest time, ms")
	flag.StringVar(&a.ca, "tls-ca", "", "CA of servers; with it TLS is spoken")
	flag.StringVar(&a.cert, "tls-cert", "", "own certificate")
	flag.StringVar(&a.key, "tls-key", "", "its key")
	flag.Parse()
	if err := run(a, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "storereader:", err)
		os.Exit(1)
	}
}

func run(a arguments, words []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	endpoints, proxy, err := connect(ctx, a)
	if err != nil {
		return err
	}
	defer endpoints.Close()
	create := query.NewQueryableCreator(log.NewNopLogger(), nil, proxy, 4, time.Minute, dedup.AlgorithmPenalty, 64)
	queryable := create(len(a.replicaLabels) > 0, a.replicaLabels, nil, 0, false, false, nil, query.NoopSeriesStatsReporter)
	if len(words) == 0 {
		return fmt.Errorf("what to read is missing")
	}
	switch words[0] {
	case "info":
		return printInfo(endpoints)
	case "query":
		return printQuery(ctx, queryable, words[1:])
	}
	querier, err := queryable.Querier(a.minTime, a.maxTime)
	if err != nil {
		return err
	}
	defer querier.Close()
	switch words[0] {
	case "series":
		return printSeries(ctx, querier, a)
	case "labels":
		names, _, err := querier.LabelNames(ctx, nil)
		return printAll(names, err)
	case "values":
		values, _, err := querier.LabelValues(ctx, words[1], nil)
		return printAll(values, err)
	}
	return fmt.Errorf("unknown word %q", words[0])
}

func connect(ctx context.Context, a arguments) (*query.EndpointSet, *store.ProxyStore, error) {
	// Thanos's own dial options bring its codec, without which labels would point into buffers that are used again.
	options, err := extgrpc.StoreClientGRPCOpts(log.NewNopLogger(), nil, opentracing.NoopTracer{})
	if err != nil {
		return nil, nil, err
	}
	transport := insecure.NewCredentials()
	if a.ca != "" {
		config, err := tls.NewClientConfig(log.NewNopLogger(), a.cert, a.key, a.ca, "", false, "1.3")
		if err != nil {
			return nil, nil, err
		}
		transport = credentials.NewTLS(config)
	}
	options = append(options, grpc.WithTransportCredentials(transport))
	specs := func() (specs []*query.GRPCEndpointSpec) {
		for _, address := range a.endpoints {
			specs = append(specs, query.NewGRPCEndpointSpec(address, true, options...))
		}
		return specs
	}
	endpoints := query.NewEndpointSet(time.Now, log.NewNopLogger(), nil, specs, time.Minute, 10*time.Second, time.Minute)
	endpoints.Update(ctx)
	proxy := store.NewProxyStore(log.NewNopLogger(), nil, endpoints.GetStoreClients, component.Query,
		labels.EmptyLabels(), time.Minute, store.EagerRetrieval)
	return endpoints, proxy, nil
}

func printInfo(endpoints *query.EndpointSet) error {
	for _, status := range endpoints.GetEndpointStatus() {
		if status.LastError != nil && status.LastError.Error() != "" {
			return fmt.Errorf("%s: %s", status.Name, status.LastError.Error())
		}
		printJSON(map[string]any{"component": fmt.Sprint(status.ComponentType), "labelSets": status.LabelSets,
			"minTime": status.MinTime, "maxTime": status.MaxTime})
	}
	return nil
}

func printQuery(ctx context.Context, queryable storage.Queryable, words []string) error {
	if len(words) != 2 {
		return fmt.Errorf("query takes an expression and a time in ms")
	}
	var timeMs int64
	if _, err := fmt.Sscan(words[1], &timeMs); err != nil {
		return err
	}
	parser.EnableExperimentalFunctions = true
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: math.MaxInt32, Timeout: time.Minute,
		EnableAtModifier: true, EnableNegativeOffset: true})
	q, err := engine.NewInstantQuery(ctx, queryable, nil, words[0], time.UnixMilli(timeMs))
	if err != nil {
		return err
	}
	defer q.Close()
	result := q.Exec(ctx)
	if result.Err != nil {
		return result.Err
	}
	printJSON(result.Value)
	return nil
}

// printSeries prints {"labels": [[name, value], …], "samples": [[t, bits], …]} a series; a histogram sample is its text.
func printSeries(ctx context.Context, querier storage.Querier, a arguments) error {
	matchers, err := parseMatchers(a.matchers)
	if err != nil {
		return err
	}
	set := querier.Select(ctx, true, &storage.SelectHints{Start: a.minTime, End: a.maxTime}, matchers...)
	for set.Next() {
		series := set.At()
		pairs, samples := [][2]string{}, [][2]any{}
		series.Labels().Range(func(l labels.Label) { pairs = append(pairs, [2]string{l.Name, l.Value}) })
		it := series.Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			if kind == chunkenc.ValFloat {
				t, v := it.At()
				samples = append(samples, [2]any{t, fmt.Sprintf("%016x", math.Float64bits(v))})
				continue
			}
			t, h := it.AtFloatHistogram(nil)
			samples = append(samples, [2]any{t, h.String()})
		}
		if it.Err() != nil {
			return it.Err()
		}
		printJSON(map[string]any{"labels": pairs, "samples": samples})
	}
	for warning := range set.Warnings() {
		return fmt.Errorf("warning: %s", warning)
	}
	return set.Err()
}

func parseMatchers(texts []string) (matchers []*labels.Matcher, err error) {
	for _, text := range texts {
		for _, kind := range []labels.MatchType{labels.MatchNotRegexp, labels.MatchRegexp, labels.MatchNotEqual, labels.MatchEqual} {
			name, value, found := strings.Cut(text, kind.String())
			if !found {
				continue
			}
			matcher, err := labels.NewMatcher(kind, name, value)
			if err != nil {
				return nil, err
			}
			matchers = append(matchers, matcher)
			break
		}
	}
	return matchers, nil
}

func printAll(values []string, err error) error {
	if err != nil {
		return err
	}
	for _, value := range values {
		printJSON(value)
	}
	return nil
}

func printJSON(value any) {
	line, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}
