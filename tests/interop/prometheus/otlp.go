package main

// `oracle otlp` turns OTLP requests into series as Prometheus's receiver does, one request a line of standard input:
//
//	{"strategy": NAME, "promoted": [NAME, …], "request": BASE64, "options": [NAME, …]}
//
// An option is a key of Prometheus's `otlp` configuration; "promote_all" makes the promoted names those that are not,
// "delta" is the feature of that name, "no_target_info" leaves that series out. A line of its output is
// {"error": TEXT, "series": [{"labels": {…}, "samples": [[t, bits]], "histograms": [[t, text]], "exemplars": [[t, bits, {…}]],
// "metadata": [FAMILY, TYPE, UNIT, HELP], "starts": [[t, start]]}]}.

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

type otlpQuestion struct {
	Strategy otlptranslator.TranslationStrategyOption `json:"strategy"`
	Promoted []string                                 `json:"promoted"`
	Options  []string                                 `json:"options"`
	Request  []byte                                   `json:"request"`
}

type otlpSeries struct {
	Labels     map[string]string `json:"labels"`
	Samples    [][2]any          `json:"samples"`
	Histograms [][2]any          `json:"histograms"`
	Exemplars  [][3]any          `json:"exemplars"`
	Metadata   [4]string         `json:"metadata"`
	Starts     [][2]int64        `json:"starts"`
}

type otlpAnswer struct {
	Error  string        `json:"error"`
	Series []*otlpSeries `json:"series"`
}

func translateOTLP() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q otlpQuestion
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return err
		}
		if err := out.Encode(answerOTLP(q)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answerOTLP(q otlpQuestion) otlpAnswer {
	request := pmetricotlp.NewExportRequest()
	if err := request.UnmarshalProto(q.Request); err != nil {
		return otlpAnswer{Error: err.Error()}
	}
	has := func(option string) bool { return slices.Contains(q.Options, option) }
	promotion := config.OTLPConfig{PromoteResourceAttributes: q.Promoted}
	if has("promote_all") {
		promotion = config.OTLPConfig{PromoteAllResourceAttributes: true, IgnoreResourceAttributes: q.Promoted}
	}
	collected := &otlpCollector{byLabels: map[string]*otlpSeries{}, all: []*otlpSeries{}}
	_, err := prometheusremotewrite.NewPrometheusConverter(collected).FromMetrics(context.Background(), request.Metrics(), prometheusremotewrite.Settings{
		AddMetricSuffixes:                    q.Strategy.ShouldAddSuffixes(),
		AllowUTF8:                            !q.Strategy.ShouldEscape(),
		DisableTargetInfo:                    has("no_target_info"),
		PromoteResourceAttributes:            prometheusremotewrite.NewPromoteResourceAttributes(promotion),
		KeepIdentifyingResourceAttributes:    has("keep_identifying_resource_attributes"),
		ConvertHistogramsToNHCB:              has("convert_histograms_to_nhcb"),
		AllowDeltaTemporality:                has("delta"),
		PromoteScopeMetadata:                 has("promote_scope_metadata"),
		LabelNameUnderscoreSanitization:      has("label_name_underscore_sanitization"),
		LabelNamePreserveMultipleUnderscores: has("label_name_preserve_multiple_underscores"),
	})
	a := otlpAnswer{Series: collected.all}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// otlpCollector keeps what the converter appends.
type otlpCollector struct {
	storage.AppenderV2
	byLabels map[string]*otlpSeries
	all      []*otlpSeries
}

func (c *otlpCollector) Append(_ storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, _ *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	key := ls.String()
	s := c.byLabels[key]
	if s == nil {
		s = &otlpSeries{Labels: ls.WithoutEmpty().Map(), Samples: [][2]any{}, Histograms: [][2]any{}, Exemplars: [][3]any{}}
		c.byLabels[key] = s
		c.all = append(c.all, s)
	}
	s.Metadata = [4]string{o.MetricFamilyName, string(o.Metadata.Type), o.Metadata.Unit, o.Metadata.Help}
	if h == nil {
		s.Samples = append(s.Samples, [2]any{t, hexBits(v)})
	} else {
		s.Histograms = append(s.Histograms, [2]any{t, describedHistogram(h)})
	}
	s.Starts = append(s.Starts, [2]int64{t, st})
	for _, e := range o.Exemplars {
		s.Exemplars = append(s.Exemplars, [3]any{e.Ts, hexBits(e.Value), e.Labels.WithoutEmpty().Map()})
	}
	return 0, nil
}

func hexBits(v float64) string { return fmt.Sprintf("%016x", math.Float64bits(v)) }

// describedHistogram is a text with all that a histogram says, layout included.
func describedHistogram(h *histogram.Histogram) string {
	bounds := []string{}
	for _, bound := range h.CustomValues {
		bounds = append(bounds, hexBits(bound))
	}
	return fmt.Sprintf("%d %s %d %d %s %v %v %v %v %v %d", h.Schema, hexBits(h.ZeroThreshold), h.ZeroCount, h.Count, hexBits(h.Sum),
		describedSpans(h.PositiveSpans), h.PositiveBuckets, describedSpans(h.NegativeSpans), h.NegativeBuckets, bounds, h.CounterResetHint)
}

func describedSpans(spans []histogram.Span) []string {
	texts := []string{}
	for _, span := range spans {
		texts = append(texts, fmt.Sprintf("%d:%d", span.Offset, span.Length))
	}
	return texts
}
