// The oracle answers as Prometheus 3.14 does: Prometheus's own TSDB, PromQL engine, query API and remote-write
// receiver behind a main of ours. Tests start it beside the system under test and compare answers.
//
//	oracle --data-dir DIR [--address 127.0.0.1:0]
//
// It prints one line, "listening on HOST:PORT", once it serves, and stops on SIGTERM or SIGINT. With a command (see
// engineCommand) it is the storage engine alone, as an oracle for appends and compaction; with "agent FILE DIR" it is a sender (see
// runAgent), with "otlp" a translator (see translateOTLP).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/grafana/regexp"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"
	"github.com/prometheus/prometheus/util/features"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"
)

type options struct {
	dataDir            string
	address            string
	outOfOrderWindow   time.Duration
	minBlock, maxBlock time.Duration
	experimental       bool
	delayedNameRemoval bool
	maxSamples         int
}

func main() {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		command := engineCommand
		if os.Args[1] == "agent" && len(os.Args) == 4 {
			command = func(words []string) error { return runAgent(words[1], words[2]) }
		}
		if os.Args[1] == "otlp" {
			command = func([]string) error { return translateOTLP() }
		}
		if err := command(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "oracle:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.dataDir, "data-dir", "", "TSDB directory")
	flag.StringVar(&o.address, "address", "127.0.0.1:0", "listen address")
	flag.DurationVar(&o.outOfOrderWindow, "out-of-order-window", 0, "out-of-order window")
	flag.DurationVar(&o.minBlock, "min-block-duration", 2*time.Hour, "smallest block")
	flag.DurationVar(&o.maxBlock, "max-block-duration", 2*time.Hour, "largest block")
	flag.BoolVar(&o.experimental, "experimental", false, "experimental functions, selectors and modifiers")
	flag.BoolVar(&o.delayedNameRemoval, "delayed-name-removal", false, "drop metric names at the end of a query")
	flag.IntVar(&o.maxSamples, "max-samples", 50_000_000, "samples a query may load")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.dataDir == "" {
		return errors.New("--data-dir is missing")
	}
	db, err := openDB(o)
	if err != nil {
		return err
	}
	defer db.Close()
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(o, db)}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	}()
	fmt.Printf("listening on %s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func openDB(o options) (*tsdb.DB, error) {
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = int64(20 * 365 * 24 * time.Hour / time.Millisecond)
	opts.MinBlockDuration = o.minBlock.Milliseconds()
	opts.MaxBlockDuration = o.maxBlock.Milliseconds()
	opts.OutOfOrderTimeWindow = o.outOfOrderWindow.Milliseconds()
	opts.WALCompression = compression.Snappy
	opts.WALSegmentSize = wlog.DefaultSegmentSize
	opts.EnableExemplarStorage = true
	opts.MaxExemplars = 100_000
	return tsdb.Open(o.dataDir, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), nil, opts, nil)
}

// appendable gives the API the two appender interfaces of a TSDB.
type appendable struct{ *tsdb.DB }

func (a appendable) AppenderV2(ctx context.Context) storage.AppenderV2 { return a.DB.AppenderV2(ctx) }

// admin gives the API the statistics of a TSDB; nothing is ever deleted.
type admin struct{ *tsdb.DB }

func (a admin) Stats(label string, limit int) (*tsdb.Stats, error) {
	return a.Head().Stats(label, limit), nil
}
func (a admin) WALReplayStatus() (tsdb.WALReplayStatus, error) { return tsdb.WALReplayStatus{}, nil }
func (a admin) BlockMetas() ([]tsdb.BlockMeta, error)          { return a.DB.BlockMetas(), nil }

func handler(o options, db *tsdb.DB) http.Handler {
	registry := prometheus.NewRegistry()
	promqlParser := parser.NewParser(parser.Options{
		EnableExperimentalFunctions:  o.experimental,
		ExperimentalDurationExpr:     true,
		EnableExtendedRangeSelectors: o.experimental,
		EnableBinopFillModifiers:     o.experimental,
	})
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples:               o.maxSamples,
		Timeout:                  2 * time.Minute,
		LookbackDelta:            5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnableDelayedNameRemoval: o.delayedNameRemoval,
		EnablePerStepStats:       true,
		Parser:                   promqlParser,
	})
	empty := config.Config{GlobalConfig: config.DefaultGlobalConfig}
	empty.GlobalConfig.MetricNameValidationScheme = model.UTF8Validation
	api := apiv1.NewAPI(engine, db, appendable{db}, appendable{db}, db,
		func(context.Context) apiv1.ScrapePoolsRetriever { return (*scrape.Manager)(nil) },
		func(context.Context) apiv1.TargetRetriever { return (*scrape.Manager)(nil) },
		func(context.Context) apiv1.AlertmanagerRetriever { return nil },
		func() config.Config { return empty }, map[string]string{}, apiv1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f },
		admin{db}, o.dataDir, false, false, 0, slog.New(slog.DiscardHandler),
		func(context.Context) apiv1.RulesRetriever { return (*rules.Manager)(nil) },
		5e7, 10, 1048576, false, regexp.MustCompile("^(?:.*)$"),
		func() (apiv1.RuntimeInfo, error) { return apiv1.RuntimeInfo{}, nil },
		&apiv1.PrometheusVersion{Version: "3.14.0"}, nil, nil, registry, registry, nil,
		true, remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType},
		false, false, false, false, 5*time.Minute, false, false, nil, features.NewRegistry(),
		apiv1.OpenAPIOptions{}, promqlParser)
	router := route.New()
	api.Register(router.WithPrefix("/api/v1"))
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", router)
	mux.HandleFunc("/-/ready", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "OK") })
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
