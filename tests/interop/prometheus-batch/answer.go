package main

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// answer holds everything a user may see. A histogram is one text: its fields, then its buckets by index, those of
// zero left out. Samples are those looked at: in all, then at each step.
type answer struct {
	ID       int      `json:"id"`
	Kind     string   `json:"kind"`
	Error    string   `json:"error"`
	Warnings []string `json:"warnings"`
	Infos    []string `json:"infos"`
	Text     string   `json:"text"`
	Rows     []row    `json:"rows"`
	Samples  []int64  `json:"samples"`
}

type row struct {
	Labels string  `json:"labels"`
	Points []point `json:"points"`
}

// point is a time and a value.
type point [2]any

func evaluate(engine *promql.Engine, data *dataset, r request) answer {
	a := answer{ID: r.ID, Warnings: []string{}, Infos: []string{}, Rows: []row{}, Samples: []int64{}}
	opts := promql.NewPrometheusQueryOpts(true, time.Duration(r.Lookback)*time.Millisecond)
	ctx := context.Background()
	var query promql.Query
	var err error
	if r.Time != nil {
		query, err = engine.NewInstantQuery(ctx, data.db, opts, r.Expr, time.UnixMilli(*r.Time))
	} else {
		query, err = engine.NewRangeQuery(ctx, data.db, opts, r.Expr, time.UnixMilli(r.Start), time.UnixMilli(r.End),
			time.Duration(r.Step)*time.Millisecond)
	}
	if err != nil {
		a.Kind, a.Error = "error", err.Error()
		return a
	}
	defer query.Close()
	result := query.Exec(ctx)
	if result.Err != nil {
		a.Kind, a.Error = "error", result.Err.Error()
		return a
	}
	a.Warnings, a.Infos = result.Warnings.AsStrings(r.Expr, 0, 0)
	sort.Strings(a.Warnings)
	sort.Strings(a.Infos)
	a.Kind = string(result.Value.Type())
	samples := query.Stats().Samples
	a.Samples = append([]int64{samples.TotalSamples}, samples.TotalSamplesPerStep...)
	a.fill(result)
	return a
}

func (a *answer) fill(result *promql.Result) {
	switch v := result.Value.(type) {
	case promql.String:
		a.Text = fmt.Sprintf("%x", v.V)
	case promql.Scalar:
		a.Rows = append(a.Rows, row{"", []point{{v.T, float(v.V)}}})
	case promql.Vector:
		for _, s := range v {
			p := point{s.T, float(s.F)}
			if s.H != nil {
				p[1] = describe(s.H)
			}
			a.Rows = append(a.Rows, row{name(s.Metric), []point{p}})
		}
	case promql.Matrix:
		for _, s := range v {
			r := row{name(s.Metric), []point{}}
			for _, p := range s.Floats {
				r.Points = append(r.Points, point{p.T, float(p.F)})
			}
			for _, p := range s.Histograms {
				r.Points = append(r.Points, point{p.T, describe(p.H)})
			}
			a.Rows = append(a.Rows, r)
		}
	}
}

func name(l labels.Labels) string {
	var b strings.Builder
	l.Range(func(l labels.Label) { fmt.Fprintf(&b, "%s=%x,", l.Name, l.Value) })
	return b.String()
}

func float(v float64) string {
	if math.IsNaN(v) {
		return "NaN"
	}
	return fmt.Sprintf("%x", math.Float64bits(v))
}

func describe(h *histogram.FloatHistogram) string {
	var b strings.Builder
	zero := h.ZeroCount
	if h.UsesCustomBuckets() {
		zero = math.Abs(zero) // there is no such bucket
	}
	fmt.Fprintf(&b, "schema %d hint %d threshold %s zero %s count %s sum %s", h.Schema, h.CounterResetHint,
		float(h.ZeroThreshold), float(zero), float(h.Count), float(h.Sum))
	buckets := func(sign string, spans []histogram.Span, counts []float64) {
		index, at := int32(0), 0
		for _, s := range spans {
			index += s.Offset
			for range s.Length {
				if counts[at] != 0 {
					fmt.Fprintf(&b, " %s%d:%s", sign, index, float(counts[at]))
				}
				at++
				index++
			}
		}
	}
	buckets("+", h.PositiveSpans, h.PositiveBuckets)
	buckets("-", h.NegativeSpans, h.NegativeBuckets)
	for _, v := range h.CustomValues {
		fmt.Fprintf(&b, " le %s", float(v))
	}
	return b.String()
}
