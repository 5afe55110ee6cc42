// ringreceiver is `thanos receive` in its three modes, put together from Thanos's own packages: router, ingester, or both.
//
//	ringreceiver --data-dir DIR [--hashrings-file FILE] [--local-endpoint NAME] [--algorithm A] [--replication-factor N] …
//	ringreceiver otlp < REQUESTS
//	ringreceiver place --hashrings-file FILE --algorithm A --replication-factor N --seed S --count C
//
// It prints `StoreAPI on HOST:PORT`, `capnproto on HOST:PORT` and `listening on HOST:PORT` (remote write), and stops on
// SIGTERM. `place` prints where generated series lie; see place.go. `otlp` translates OTLP requests; see otlp.go.
//
// Build it with the tags netgo,slicelabels, as Thanos's own release is.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"
	"unsafe"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"
	"github.com/thanos-io/thanos/pkg/block/metadata"
	"github.com/thanos-io/thanos/pkg/component"
	_ "github.com/thanos-io/thanos/pkg/extgrpc" // Registers Thanos's codec.
	_ "github.com/thanos-io/thanos/pkg/extgrpc/snappy"
	"github.com/thanos-io/thanos/pkg/info"
	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/receive"
	"github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/tenancy"
	"github.com/thanos-io/thanos/pkg/tls"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const blockDuration = 2 * time.Hour

type arguments struct {
	dataDir, address, grpcAddress, capnprotoAddress string
	hashringsFile, localEndpoint, algorithm         string
	compression, protocol, replica                  string
	ca, cert, key                                   string
	replicationFactor, seed                         uint64
	count                                           int
}

func parse(args []string) arguments {
	var a arguments
	flags := flag.NewFlagSet("ringreceiver", flag.ExitOnError)
	flags.StringVar(&a.dataDir, "data-dir", "", "where the tenants' databases lie")
	flags.StringVar(&a.address, "address", "127.0.0.1:0", "where to take remote writes")
	flags.StringVar(&a.grpcAddress, "grpc-address", "127.0.0.1:0", "where to serve the StoreAPI and take writes of routers")
	flags.StringVar(&a.capnprotoAddress, "capnproto-address", "127.0.0.1:0", "where to take writes over Cap'n Proto")
	flags.StringVar(&a.hashringsFile, "hashrings-file", "", "hashrings; without it this is an ingester only")
	flags.StringVar(&a.localEndpoint, "local-endpoint", "", "own name in the hashrings; without it this is a router only")
	flags.StringVar(&a.algorithm, "algorithm", "hashmod", "hashmod or ketama")
	flags.StringVar(&a.compression, "compression", "snappy", "snappy or none")
	flags.StringVar(&a.protocol, "protocol", "protobuf", "protobuf or capnproto")
	flags.StringVar(&a.replica, "replica", "stock", "external label `replica`")
	flags.Uint64Var(&a.replicationFactor, "replication-factor", 1, "copies of each series")
	flags.Uint64Var(&a.seed, "seed", 0, "of generated series")
	flags.IntVar(&a.count, "count", 0, "number of generated series")
	flags.StringVar(&a.ca, "tls-ca", "", "CA of other nodes; with it gRPC is spoken over mutual TLS")
	flags.StringVar(&a.cert, "tls-cert", "", "own certificate")
	flags.StringVar(&a.key, "tls-key", "", "its key")
	_ = flags.Parse(args)
	return a
}

func main() {
	args, start := os.Args[1:], run
	if len(args) > 0 {
		if other := map[string]func(arguments) error{"place": place, "otlp": otlp}[args[0]]; other != nil {
			args, start = args[1:], other
		}
	}
	if err := start(parse(args)); err != nil {
		fmt.Fprintln(os.Stderr, "ringreceiver:", err)
		os.Exit(1)
	}
}

func run(a arguments) error {
	logger := log.NewLogfmtLogger(log.NewSyncWriter(os.Stderr))
	dbs, err := open(logger, a)
	if err != nil {
		return err
	}
	defer dbs.Close()
	handler, err := newHandler(logger, dbs, a)
	if err != nil {
		return err
	}
	defer handler.Close()
	var listeners [3]net.Listener
	for i, address := range []string{a.grpcAddress, a.capnprotoAddress, a.address} {
		if listeners[i], err = net.Listen("tcp", address); err != nil {
			return err
		}
	}
	stores, err := newStoreServer(logger, dbs, handler, a)
	if err != nil {
		return err
	}
	defer stores.Stop()
	capnprotoWriter := receive.NewCapNProtoWriter(logger, dbs, &receive.CapNProtoWriterOptions{})
	capnproto := receive.NewCapNProtoServer(listeners[1], receive.NewCapNProtoHandler(logger, capnprotoWriter), logger)
	ended := make(chan error, 3)
	go func() { ended <- stores.Serve(listeners[0]) }()
	go func() { ended <- capnproto.ListenAndServe() }()
	go func() { ended <- httpServer(handler).Serve(listeners[2]) }()
	fmt.Println("StoreAPI on", listeners[0].Addr())
	fmt.Println("capnproto on", listeners[1].Addr())
	fmt.Println("listening on", listeners[2].Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		return nil
	case err := <-ended:
		return err
	}
}

// open opens the database of each tenant, with the options that the flags of `thanos receive` have by default.
func open(logger log.Logger, a arguments) (*receive.MultiTSDB, error) {
	if err := os.MkdirAll(a.dataDir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(a.dataDir)
	if err != nil {
		return nil, err
	}
	if err := root.Mkdir(tenancy.DefaultTenant, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	options := &tsdb.Options{
		MinBlockDuration:  blockDuration.Milliseconds(),
		MaxBlockDuration:  blockDuration.Milliseconds(),
		RetentionDuration: (15 * 24 * time.Hour).Milliseconds(),
		WALCompression:    compression.Snappy,
	}
	external := labels.FromStrings("replica", a.replica)
	dbs := receive.NewMultiTSDB(root, logger, prometheus.NewRegistry(), options, external, tenancy.DefaultTenantLabel,
		nil, false, false, metadata.NoneFunc)
	if err := dbs.RemoveLockFilesIfAny(); err != nil {
		return nil, err
	}
	return dbs, dbs.Open()
}

func mode(a arguments) receive.ReceiverMode {
	switch {
	case a.hashringsFile == "":
		return receive.IngestorOnly
	case a.localEndpoint == "":
		return receive.RouterOnly
	default:
		return receive.RouterIngestor
	}
}

func hashring(a arguments) (receive.Hashring, error) {
	if a.hashringsFile == "" {
		return receive.SingleNodeHashring(a.localEndpoint), nil
	}
	content, err := os.ReadFile(a.hashringsFile)
	if err != nil {
		return nil, err
	}
	config, err := receive.ParseConfig(content)
	if err != nil {
		return nil, err
	}
	algorithm := receive.HashringAlgorithm(a.algorithm)
	return receive.NewMultiHashring(algorithm, a.replicationFactor, config, prometheus.NewRegistry())
}

func newHandler(logger log.Logger, dbs *receive.MultiTSDB, a arguments) (*receive.Handler, error) {
	limiter, err := receive.NewLimiter(nil, nil, mode(a), logger, time.Second)
	if err != nil {
		return nil, err
	}
	transport := insecure.NewCredentials()
	if a.ca != "" {
		config, err := tls.NewClientConfig(logger, a.cert, a.key, a.ca, "", false, "1.3")
		if err != nil {
			return nil, err
		}
		transport = credentials.NewTLS(config)
	}
	dialOptions := []grpc.DialOption{grpc.WithTransportCredentials(transport)}
	if a.compression != "none" {
		dialOptions = append(dialOptions, grpc.WithDefaultCallOptions(grpc.UseCompressor(a.compression)))
	}
	handler := receive.NewHandler(logger, &receive.Options{
		Writer:                  receive.NewWriter(logger, dbs, &receive.WriterOptions{}),
		Endpoint:                a.localEndpoint,
		TenantHeader:            tenancy.DefaultTenantHeader,
		DefaultTenantID:         tenancy.DefaultTenant,
		ReplicaHeader:           receive.DefaultReplicaHeader,
		ReplicationFactor:       a.replicationFactor,
		ReceiverMode:            mode(a),
		ForwardTimeout:          5 * time.Second,
		MaxBackoff:              5 * time.Second,
		TSDBStats:               dbs,
		Limiter:                 limiter,
		AsyncForwardWorkerCount: 5,
		ReplicationProtocol:     receive.ReplicationProtocol(a.protocol),
		DialOpts:                dialOptions,
	})
	ring, err := hashring(a)
	if err != nil {
		return nil, err
	}
	handler.Hashring(ring)
	return handler, nil
}

// httpServer is the handler's own server. Its Run would listen by itself and not tell on which port.
func httpServer(handler *receive.Handler) *http.Server {
	field := reflect.ValueOf(handler).Elem().FieldByName("httpSrv")
	return *(**http.Server)(unsafe.Pointer(field.UnsafeAddr()))
}

func newStoreServer(logger log.Logger, dbs *receive.MultiTSDB, handler *receive.Handler, a arguments) (*grpc.Server, error) {
	proxy := store.NewProxyStore(logger, nil, dbs.TSDBLocalClients, component.Receive, labels.EmptyLabels(), 0,
		store.LazyRetrieval, store.WithoutDedup(), store.WithLazyRetrievalMaxBufferedResponsesForProxy(20))
	storeInfo := func() (*infopb.StoreInfo, error) {
		minTime, maxTime := proxy.TimeRange()
		return &infopb.StoreInfo{MinTime: minTime, MaxTime: maxTime, SupportsSharding: true,
			SupportsWithoutReplicaLabels: true, TsdbInfos: proxy.TSDBInfos()}, nil
	}
	var options []grpc.ServerOption
	if a.ca != "" {
		config, err := tls.NewServerConfig(logger, a.cert, a.key, a.ca, "1.3", nil, nil)
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	server := grpc.NewServer(options...)
	store.RegisterStoreServer(proxy, logger)(server)
	store.RegisterWritableStoreServer(handler)(server)
	info.RegisterInfoServer(info.NewInfoServer(component.Receive.String(),
		info.WithLabelSetFunc(func() []labelpb.ZLabelSet { return proxy.LabelSet() }),
		info.WithStoreInfoFunc(storeInfo)))(server)
	return server, nil
}
