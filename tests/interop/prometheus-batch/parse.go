package main

import (
	"syscall"

	"github.com/prometheus/prometheus/promql/parser"
)

// parsed says which expressions the parser takes, and what it took to read all of them, in nanoseconds of this
// process's CPU time for one round.
type parsed struct {
	Taken       []bool `json:"taken"`
	Nanoseconds int64  `json:"nanoseconds"`
}

func parseAll(exprs []string, rounds int) (parsed, error) {
	p := parser.NewParser(options())
	out := parsed{Taken: make([]bool, len(exprs))}
	start, err := cpu()
	if err != nil {
		return out, err
	}
	for range rounds {
		for i, expr := range exprs {
			_, err := p.ParseExpr(expr)
			out.Taken[i] = err == nil
		}
	}
	end, err := cpu()
	out.Nanoseconds = (end - start) / int64(rounds)
	return out, err
}

func cpu() (int64, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano(), err
}

func options() parser.Options {
	return parser.Options{
		EnableExperimentalFunctions:  true,
		ExperimentalDurationExpr:     true,
		EnableExtendedRangeSelectors: true,
		EnableBinopFillModifiers:     true,
	}
}
