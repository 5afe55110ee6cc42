package main

// `oracle agent FILE DIR` is Prometheus in agent mode, put together from its own packages: it scrapes what the configuration's static
// targets are, keeps it in a log, and sends it on as the configuration's remote_write says. It is a sender of remote write 2.0, which
// Debian's Prometheus is too old for. It prints "agent is ready" and stops on SIGTERM.

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/agent"
)

const flushDeadline = time.Minute

// scraper gives the sender the metadata of what is scraped, once there is something.
type scraper struct{ manager *scrape.Manager }

func (s *scraper) Get() (*scrape.Manager, error) {
	if s.manager == nil {
		return nil, fmt.Errorf("nothing is scraped yet")
	}
	return s.manager, nil
}

func runAgent(file, dir string) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	conf, err := config.LoadFile(file, true, logger)
	if err != nil {
		return err
	}
	registry, ready := prometheus.NewRegistry(), &scraper{}
	sender := remote.NewStorage(logger, registry, func() (int64, error) { return 0, nil }, dir, flushDeadline, ready, false)
	defer sender.Close()
	db, err := agent.Open(logger, registry, sender, dir, agent.DefaultOptions())
	if err != nil {
		return err
	}
	defer db.Close()
	all := storage.NewFanout(logger, db, sender)
	manager, err := scrape.NewManager(&scrape.Options{}, logger, nil, nil, all, registry)
	if err != nil {
		return err
	}
	ready.manager = manager
	if err := sender.ApplyConfig(conf); err != nil {
		return err
	}
	db.SetWriteNotified(sender)
	if err := manager.ApplyConfig(conf); err != nil {
		return err
	}
	targets := make(chan map[string][]*targetgroup.Group, 1)
	targets <- staticTargets(conf)
	go func() { _ = manager.Run(targets) }()
	defer manager.Stop()
	fmt.Println("agent is ready")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	<-ctx.Done()
	return nil
}

func staticTargets(conf *config.Config) map[string][]*targetgroup.Group {
	targets := map[string][]*targetgroup.Group{}
	for _, job := range conf.ScrapeConfigs {
		for _, found := range job.ServiceDiscoveryConfigs {
			if static, ok := found.(discovery.StaticConfig); ok {
				targets[job.JobName] = append(targets[job.JobName], static...)
			}
		}
	}
	return targets
}
