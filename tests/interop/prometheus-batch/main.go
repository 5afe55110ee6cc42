// The batch oracle evaluates queries as Prometheus 3.15 does, many of them and without a network: one JSON object per
// line on standard input, one answer per line on standard output, in the same order.
//
//	{"series": [...]}                       a dataset, replacing the one before; answered by the same series as read back
//	{"id": 1, "expr": "...", "time": ms}    an instant query
//	{"id": 2, "expr": "...", "start": ms, "end": ms, "step": ms}
//	{"patterns": [...]}                     regular expressions and texts; answered by what Go makes of them
//	{"parse": [...], "rounds": n}           expressions; answered by which of them parse, and the CPU time of a round
//	{"classes": true}                       answered by the character classes of Go's Unicode tables
//
// A query may say "delayed" (delayed name removal) and "lookback" (milliseconds). Floats are the hexadecimal digits of
// their IEEE 754 bits everywhere; all NaNs but the stale marker of a dataset are written as one.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

type request struct {
	Series   []series  `json:"series"`
	Patterns []pattern `json:"patterns"`
	Classes  bool      `json:"classes"`
	Parse    []string  `json:"parse"`
	Rounds   int       `json:"rounds"`
	ID       int       `json:"id"`
	Expr     string    `json:"expr"`
	Time     *int64    `json:"time"`
	Start    int64     `json:"start"`
	End      int64     `json:"end"`
	Step     int64     `json:"step"`
	Delayed  bool      `json:"delayed"`
	Lookback int64     `json:"lookback"`
}

func main() {
	debug.SetGCPercent(400)
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oracle-batch:", err)
		os.Exit(1)
	}
}

func serve(in io.Reader, out io.Writer) error {
	plain, delayed := engine(false), engine(true)
	reader, writer := bufio.NewReaderSize(in, 1<<20), bufio.NewWriterSize(out, 1<<20)
	defer writer.Flush()
	decoder, encoder := json.NewDecoder(reader), json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	var data dataset
	defer data.close()
	for {
		var r request
		if err := decoder.Decode(&r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var reply any
		if r.Series != nil {
			data.close()
			if err := data.open(r.Series); err != nil {
				return err
			}
			read, err := data.readBack()
			if err != nil {
				return err
			}
			reply = read
		} else if r.Patterns != nil {
			reply = matchAll(r.Patterns)
		} else if r.Parse != nil {
			taken, err := parseAll(r.Parse, max(r.Rounds, 1))
			if err != nil {
				return err
			}
			reply = taken
		} else if r.Classes {
			reply = classes()
		} else {
			e := plain
			if r.Delayed {
				e = delayed
			}
			reply = evaluate(e, &data, r)
		}
		if err := encoder.Encode(reply); err != nil {
			return err
		}
		// Nobody waits for a single answer: the next requests are already here.
		if reader.Buffered() == 0 {
			if err := writer.Flush(); err != nil {
				return err
			}
		}
	}
}

func engine(delayedNameRemoval bool) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		Logger:                   slog.New(slog.DiscardHandler),
		MaxSamples:               50_000_000,
		Timeout:                  2 * time.Minute,
		LookbackDelta:            5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnableDelayedNameRemoval: delayedNameRemoval,
		EnablePerStepStats:       true,
		Parser:                   parser.NewParser(options()),
	})
}
