package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// chunkCase is a series: what is appended to chunks of an encoding, in the form of the golden chunks.
type chunkCase struct {
	Encoding chunkenc.Encoding `json:"encoding"`
	Samples  []json.RawMessage `json:"samples"`
	ReopenAt []int             `json:"reopen_at"`
	CutAt    []int             `json:"cut_at"`
}

type bits float64

func (b *bits) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	n, err := strconv.ParseUint(s, 16, 64)
	*b = bits(math.Float64frombits(n))
	return err
}

type histogramSample struct {
	K      string          `json:"k"`
	T      int64           `json:"t"`
	ST     int64           `json:"st"`
	Hint   byte            `json:"hint"`
	Schema int32           `json:"schema"`
	ZT     bits            `json:"zt"`
	ZC     json.RawMessage `json:"zc"`
	Count  json.RawMessage `json:"count"`
	Sum    bits            `json:"sum"`
	PS     [][2]int64      `json:"ps"`
	NS     [][2]int64      `json:"ns"`
	PB     json.RawMessage `json:"pb"`
	NB     json.RawMessage `json:"nb"`
	CV     []bits          `json:"cv"`
}

func spansOf(pairs [][2]int64) (spans []histogram.Span) {
	for _, p := range pairs {
		spans = append(spans, histogram.Span{Offset: int32(p[0]), Length: uint32(p[1])})
	}
	return spans
}

func floatsOf(values []bits) (floats []float64) {
	for _, v := range values {
		floats = append(floats, float64(v))
	}
	return floats
}

// each decodes several raw values and stops at the first error.
func each(pairs ...any) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := json.Unmarshal(pairs[i].(json.RawMessage), pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (s histogramSample) integer() (*histogram.Histogram, error) {
	h := &histogram.Histogram{
		CounterResetHint: histogram.CounterResetHint(s.Hint), Schema: s.Schema, ZeroThreshold: float64(s.ZT), Sum: float64(s.Sum),
		PositiveSpans: spansOf(s.PS), NegativeSpans: spansOf(s.NS), CustomValues: floatsOf(s.CV),
	}
	return h, each(s.ZC, &h.ZeroCount, s.Count, &h.Count, s.PB, &h.PositiveBuckets, s.NB, &h.NegativeBuckets)
}

func (s histogramSample) float() (*histogram.FloatHistogram, error) {
	h := &histogram.FloatHistogram{
		CounterResetHint: histogram.CounterResetHint(s.Hint), Schema: s.Schema, ZeroThreshold: float64(s.ZT), Sum: float64(s.Sum),
		PositiveSpans: spansOf(s.PS), NegativeSpans: spansOf(s.NS), CustomValues: floatsOf(s.CV),
	}
	var zero, count bits
	var positive, negative []bits
	err := each(s.ZC, &zero, s.Count, &count, s.PB, &positive, s.NB, &negative)
	h.ZeroCount, h.Count, h.PositiveBuckets, h.NegativeBuckets = float64(zero), float64(count), floatsOf(positive), floatsOf(negative)
	return h, err
}

// appendSample appends one sample, and gives the chunk and the appender to go on with, and whether the chunk is a further one.
func (c chunkCase) appendSample(raw json.RawMessage, chunk chunkenc.Chunk, app, previous chunkenc.Appender) (chunkenc.Chunk, chunkenc.Appender, bool, error) {
	if c.Encoding == chunkenc.EncXOR || c.Encoding == chunkenc.EncXOR2 {
		var t, st int64
		var v bits
		if err := json.Unmarshal(raw, &[]any{&t, &v, &st}); err != nil {
			return nil, nil, false, err
		}
		app.Append(st, t, float64(v))
		return chunk, app, false, nil
	}
	var s histogramSample
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, nil, false, err
	}
	var next chunkenc.Chunk
	var recoded bool
	if c.Encoding == chunkenc.EncHistogram || c.Encoding == chunkenc.EncHistogramST {
		h, err := s.integer()
		if err == nil {
			next, recoded, app, err = app.AppendHistogram(previous, s.ST, s.T, h, false)
		}
		if err != nil {
			return nil, nil, false, err
		}
	} else {
		h, err := s.float()
		if err == nil {
			next, recoded, app, err = app.AppendFloatHistogram(previous, s.ST, s.T, h, false)
		}
		if err != nil {
			return nil, nil, false, err
		}
	}
	if next == nil {
		return chunk, app, false, nil
	}
	return next, app, !recoded, nil
}

func (c chunkCase) encode() (chunks []string, err error) {
	chunk, err := chunkenc.NewEmptyChunk(c.Encoding)
	if err != nil {
		return nil, err
	}
	app, err := chunk.Appender()
	if err != nil {
		return nil, err
	}
	for i, raw := range c.Samples {
		var previous chunkenc.Appender
		switch {
		case slices.Contains(c.CutAt, i):
			chunks = append(chunks, hex.EncodeToString(chunk.Bytes()))
			previous = app
			if chunk, err = chunkenc.NewEmptyChunk(c.Encoding); err != nil {
				return nil, err
			}
			app, err = chunk.Appender()
		case slices.Contains(c.ReopenAt, i):
			app, err = chunk.Appender()
		}
		if err != nil {
			return nil, err
		}
		before, further := chunk, false
		if chunk, app, further, err = c.appendSample(raw, chunk, app, previous); err != nil {
			return nil, err
		}
		if further {
			chunks = append(chunks, hex.EncodeToString(before.Bytes()))
		}
	}
	return append(chunks, hex.EncodeToString(chunk.Bytes())), nil
}

// encodeChunks reads a series from each line and prints the chunks that Prometheus makes of it.
func encodeChunks(in io.Reader, out io.Writer) error {
	lines, answers := json.NewDecoder(bufio.NewReader(in)), bufio.NewWriter(out)
	for {
		var c chunkCase
		if err := lines.Decode(&c); err == io.EOF {
			return answers.Flush()
		} else if err != nil {
			return err
		}
		chunks, err := c.encode()
		if err != nil {
			return fmt.Errorf("encoding %d: %w", c.Encoding, err)
		}
		if err := json.NewEncoder(answers).Encode(chunks); err != nil {
			return err
		}
	}
}
