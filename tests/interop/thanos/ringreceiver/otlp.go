package main

// `ringreceiver otlp` turns OTLP requests into series with stock's own packages, one request a line of standard input:
//
//	{"promoted": [NAME, …], "request": BASE64}
//	{"promoted": [NAME, …], "json": BASE64}
//
// A line of its output is {"error": TEXT, "series": [{"labels": {…}, "samples": [[t, bits]], "histograms": [[t, text]],
// "exemplars": [[t, bits, {…}]]}]}. It is what Thanos's receiver does; what Prometheus's does is told by `oracle otlp`.

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/thanos-io/thanos/pkg/receive/otlptranslator"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb/prompb"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

type question struct {
	Promoted []string `json:"promoted"`
	Request  string   `json:"request"`
	JSON     string   `json:"json"`
}

type series struct {
	Labels     map[string]string `json:"labels"`
	Samples    [][2]any          `json:"samples"`
	Histograms [][2]any          `json:"histograms"`
	Exemplars  [][3]any          `json:"exemplars"`
}

type answer struct {
	Error  string    `json:"error"`
	Series []*series `json:"series"`
}

func otlp(arguments) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		if err := out.Encode(translate(q)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func translate(q question) answer {
	request := pmetricotlp.NewExportRequest()
	var err error
	if q.JSON != "" {
		body, _ := base64.StdEncoding.DecodeString(q.JSON)
		err = request.UnmarshalJSON(body)
	} else {
		body, _ := base64.StdEncoding.DecodeString(q.Request)
		err = request.UnmarshalProto(body)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return byThanos(request.Metrics(), q)
}

func bits(v float64) string { return fmt.Sprintf("%016x", math.Float64bits(v)) }

// described is a text with all that a histogram says, layout included.
func described(h *histogram.Histogram) string {
	return fmt.Sprintf("%d %s %d %d %s %v %v %v %v %v %d", h.Schema, bits(h.ZeroThreshold), h.ZeroCount, h.Count, bits(h.Sum),
		spans(h.PositiveSpans), h.PositiveBuckets, spans(h.NegativeSpans), h.NegativeBuckets, h.CustomValues, h.CounterResetHint)
}

func spans(s []histogram.Span) []string {
	texts := []string{}
	for _, span := range s {
		texts = append(texts, fmt.Sprintf("%d:%d", span.Offset, span.Length))
	}
	return texts
}

func byThanos(metrics pmetric.Metrics, q question) answer {
	converter := otlptranslator.NewPrometheusConverter()
	_, errs := converter.FromMetrics(context.Background(), metrics, otlptranslator.Settings{
		AddMetricSuffixes: true, PromoteResourceAttributes: q.Promoted,
	})
	a := answer{Series: []*series{}}
	if err := errs.Err(); err != nil {
		a.Error = err.Error()
	}
	for _, ts := range converter.TimeSeries() {
		s := &series{Labels: named(ts.Labels), Samples: [][2]any{}, Histograms: [][2]any{}, Exemplars: [][3]any{}}
		for _, sample := range ts.Samples {
			s.Samples = append(s.Samples, [2]any{sample.Timestamp, bits(sample.Value)})
		}
		for _, h := range ts.Histograms {
			s.Histograms = append(s.Histograms, [2]any{h.Timestamp, described(prompb.HistogramProtoToHistogram(h))})
		}
		for _, e := range ts.Exemplars {
			s.Exemplars = append(s.Exemplars, [3]any{e.Timestamp, bits(e.Value), named(e.Labels)})
		}
		a.Series = append(a.Series, s)
	}
	return a
}

func named(pairs []labelpb.ZLabel) map[string]string {
	names := map[string]string{}
	for _, pair := range pairs {
		if pair.Value != "" {
			names[pair.Name] = pair.Value
		}
	}
	return names
}
