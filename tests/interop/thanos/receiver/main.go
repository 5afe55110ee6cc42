// receiver takes remote writes with Thanos's own receive packages, put together as `thanos receive` does without
// hashrings (ingestor only), and serves what it holds over the StoreAPI. Tests send it what they send us.
//
//	receiver --data-dir DIR [--address HOST:PORT] [--grpc-address HOST:PORT]
//
// It prints `StoreAPI on HOST:PORT`, then `listening on HOST:PORT` (remote write), and stops on SIGTERM.
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
	_ "github.com/thanos-io/thanos/pkg/extgrpc" // Registers Thanos's codec: with gRPC's own, texts would point into used buffers.
	"github.com/thanos-io/thanos/pkg/info"
	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/receive"
	"github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/tenancy"
	"google.golang.org/grpc"
)

const blockDuration = 2 * time.Hour

func main() {
	dataDir := flag.String("data-dir", "", "where the tenants' databases lie")
	address := flag.String("address", "127.0.0.1:0", "where to take remote writes")
	grpcAddress := flag.String("grpc-address", "127.0.0.1:0", "where to serve the StoreAPI")
	flag.Parse()
	if err := run(*dataDir, *address, *grpcAddress); err != nil {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		os.Exit(1)
	}
}

func run(dataDir, address, grpcAddress string) error {
	logger := log.NewLogfmtLogger(log.NewSyncWriter(os.Stderr))
	dbs, err := open(logger, dataDir)
	if err != nil {
		return err
	}
	defer dbs.Close()
	handler, err := newHandler(logger, dbs)
	if err != nil {
		return err
	}
	storeListener, err := net.Listen("tcp", grpcAddress)
	if err != nil {
		return err
	}
	writeListener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	stores := newStoreServer(logger, dbs)
	defer stores.Stop()
	ended := make(chan error, 2)
	go func() { ended <- stores.Serve(storeListener) }()
	go func() { ended <- httpServer(handler).Serve(writeListener) }()
	defer handler.Close()
	fmt.Println("StoreAPI on", storeListener.Addr())
	fmt.Println("listening on", writeListener.Addr())
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
func open(logger log.Logger, dataDir string) (*receive.MultiTSDB, error) {
	if err := os.MkdirAll(dataDir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dataDir)
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
	external := labels.FromStrings("replica", "stock")
	dbs := receive.NewMultiTSDB(root, logger, prometheus.NewRegistry(), options, external, tenancy.DefaultTenantLabel,
		nil, false, false, metadata.NoneFunc)
	if err := dbs.RemoveLockFilesIfAny(); err != nil {
		return nil, err
	}
	return dbs, dbs.Open()
}

func newHandler(logger log.Logger, dbs *receive.MultiTSDB) (*receive.Handler, error) {
	limiter, err := receive.NewLimiter(nil, nil, receive.IngestorOnly, logger, time.Second)
	if err != nil {
		return nil, err
	}
	handler := receive.NewHandler(logger, &receive.Options{
		Writer:                  receive.NewWriter(logger, dbs, &receive.WriterOptions{}),
		TenantHeader:            tenancy.DefaultTenantHeader,
		DefaultTenantID:         tenancy.DefaultTenant,
		ReplicaHeader:           receive.DefaultReplicaHeader,
		ReplicationFactor:       1,
		ReceiverMode:            receive.IngestorOnly,
		ForwardTimeout:          5 * time.Second,
		MaxBackoff:              5 * time.Second,
		TSDBStats:               dbs,
		Limiter:                 limiter,
		AsyncForwardWorkerCount: 5,
		ReplicationProtocol:     receive.ProtobufReplication,
	})
	handler.Hashring(receive.SingleNodeHashring(""))
	return handler, nil
}

// httpServer is the handler's own server. Its Run would listen by itself and not tell on which port.
func httpServer(handler *receive.Handler) *http.Server {
	field := reflect.ValueOf(handler).Elem().FieldByName("httpSrv")
	return *(**http.Server)(unsafe.Pointer(field.UnsafeAddr()))
}

func newStoreServer(logger log.Logger, dbs *receive.MultiTSDB) *grpc.Server {
	proxy := store.NewProxyStore(logger, nil, dbs.TSDBLocalClients, component.Receive, labels.EmptyLabels(), 0,
		store.LazyRetrieval, store.WithoutDedup(), store.WithLazyRetrievalMaxBufferedResponsesForProxy(20))
	storeInfo := func() (*infopb.StoreInfo, error) {
		minTime, maxTime := proxy.TimeRange()
		return &infopb.StoreInfo{MinTime: minTime, MaxTime: maxTime, SupportsSharding: true,
			SupportsWithoutReplicaLabels: true, TsdbInfos: proxy.TSDBInfos()}, nil
	}
	server := grpc.NewServer()
	store.RegisterStoreServer(proxy, logger)(server)
	info.RegisterInfoServer(info.NewInfoServer(component.Receive.String(),
		info.WithLabelSetFunc(func() []labelpb.ZLabelSet { return proxy.LabelSet() }),
		info.WithStoreInfoFunc(storeInfo)))(server)
	return server
}
