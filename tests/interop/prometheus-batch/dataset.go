package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// bits is a float as the hexadecimal digits of its bits.
type bits float64

func (b bits) MarshalJSON() ([]byte, error) {
	return []byte(`"` + strconv.FormatUint(math.Float64bits(float64(b)), 16) + `"`), nil
}

func (b *bits) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseUint(string(text[1:len(text)-1]), 16, 64)
	*b = bits(math.Float64frombits(n))
	return err
}

// series is a line of the golden series: samples are [time, value] or a histogram.
type series struct {
	Labels  [][2]string       `json:"labels"`
	Samples []json.RawMessage `json:"samples"`
}

type histogramSample struct {
	Kind      string     `json:"k"`
	T         int64      `json:"t"`
	Hint      uint8      `json:"hint"`
	Schema    int32      `json:"schema"`
	ZeroWidth bits       `json:"zt"`
	ZeroCount bits       `json:"zc"`
	Count     bits       `json:"count"`
	Sum       bits       `json:"sum"`
	Positive  [][2]int64 `json:"ps"`
	Negative  [][2]int64 `json:"ns"`
	PBuckets  []bits     `json:"pb"`
	NBuckets  []bits     `json:"nb"`
	Custom    []bits     `json:"cv"`
}

// dataset is a TSDB in a directory of its own.
type dataset struct {
	dir string
	db  *tsdb.DB
}

func (d *dataset) open(all []series) (err error) {
	if d.dir, err = os.MkdirTemp("", "oracle-batch"); err != nil {
		return err
	}
	opts := tsdb.DefaultOptions()
	opts.MinBlockDuration = (24 * time.Hour).Milliseconds()
	opts.MaxBlockDuration = opts.MinBlockDuration
	opts.RetentionDuration = 0
	opts.WALSegmentSize = -1
	if d.db, err = tsdb.Open(d.dir, slog.New(slog.DiscardHandler), nil, opts, nil); err != nil {
		return err
	}
	d.db.DisableCompactions()
	app := d.db.Appender(context.Background())
	for _, s := range all {
		if err := appendSeries(app, s); err != nil {
			return err
		}
	}
	return app.Commit()
}

func (d *dataset) close() {
	if d.db != nil {
		_ = d.db.Close()
		_ = os.RemoveAll(d.dir)
		d.db = nil
	}
}

func lset(pairs [][2]string) labels.Labels {
	b := labels.NewScratchBuilder(len(pairs))
	for _, p := range pairs {
		b.Add(p[0], p[1])
	}
	b.Sort()
	return b.Labels()
}

func appendSeries(app storage.Appender, s series) error {
	name := lset(s.Labels)
	for _, raw := range s.Samples {
		if raw[0] == '[' {
			var pair [2]json.RawMessage
			var t int64
			var v bits
			if err := json.Unmarshal(raw, &pair); err != nil {
				return err
			}
			if err := json.Unmarshal(pair[0], &t); err != nil {
				return err
			}
			if err := json.Unmarshal(pair[1], &v); err != nil {
				return err
			}
			if _, err := app.Append(0, name, t, float64(v)); err != nil {
				return err
			}
			continue
		}
		var h histogramSample
		if err := json.Unmarshal(raw, &h); err != nil {
			return err
		}
		if _, err := app.AppendHistogram(0, name, h.T, nil, h.model()); err != nil {
			return err
		}
	}
	return nil
}

func (h histogramSample) model() *histogram.FloatHistogram {
	return &histogram.FloatHistogram{
		CounterResetHint: histogram.CounterResetHint(h.Hint),
		Schema:           h.Schema,
		ZeroThreshold:    float64(h.ZeroWidth),
		ZeroCount:        float64(h.ZeroCount),
		Count:            float64(h.Count),
		Sum:              float64(h.Sum),
		PositiveSpans:    spans(h.Positive),
		NegativeSpans:    spans(h.Negative),
		PositiveBuckets:  floats(h.PBuckets),
		NegativeBuckets:  floats(h.NBuckets),
		CustomValues:     floats(h.Custom),
	}
}

func spans(in [][2]int64) (out []histogram.Span) {
	for _, s := range in {
		out = append(out, histogram.Span{Offset: int32(s[0]), Length: uint32(s[1])})
	}
	return out
}

func floats(in []bits) (out []float64) {
	for _, v := range in {
		out = append(out, float64(v))
	}
	return out
}

func readable(t int64, h *histogram.FloatHistogram) histogramSample {
	pairs := func(in []histogram.Span) (out [][2]int64) {
		for _, s := range in {
			out = append(out, [2]int64{int64(s.Offset), int64(s.Length)})
		}
		return out
	}
	values := func(in []float64) (out []bits) {
		for _, v := range in {
			out = append(out, bits(v))
		}
		return out
	}
	return histogramSample{
		"fh", t, uint8(h.CounterResetHint), h.Schema, bits(h.ZeroThreshold), bits(h.ZeroCount), bits(h.Count), bits(h.Sum),
		pairs(h.PositiveSpans), pairs(h.NegativeSpans), values(h.PositiveBuckets), values(h.NegativeBuckets),
		values(h.CustomValues),
	}
}

// readBack gives the series as the engine will see them: hints of histograms depend on how they are stored.
func (d *dataset) readBack() ([]series, error) {
	querier, err := d.db.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	defer querier.Close()
	all := labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".*")
	set := querier.Select(context.Background(), true, nil, all)
	out := []series{}
	var it chunkenc.Iterator
	for set.Next() {
		var s series
		set.At().Labels().Range(func(l labels.Label) { s.Labels = append(s.Labels, [2]string{l.Name, l.Value}) })
		it = set.At().Iterator(it)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			var sample any
			if kind == chunkenc.ValFloat {
				t, v := it.At()
				sample = [2]any{t, bits(v)}
			} else {
				t, h := it.AtFloatHistogram(nil)
				sample = readable(t, h)
			}
			raw, err := json.Marshal(sample)
			if err != nil {
				return nil, err
			}
			s.Samples = append(s.Samples, raw)
		}
		if it.Err() != nil {
			return nil, it.Err()
		}
		out = append(out, s)
	}
	return out, set.Err()
}
