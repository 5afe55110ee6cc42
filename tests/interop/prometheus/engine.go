package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// engineCommand runs the storage engine alone, without a server:
//
//	oracle blocks SEED DIR     makes random blocks in DIR/sources and compacts them into DIR/result
//	oracle compact DIR BLOCK…  compacts blocks, in this order, into DIR; prints the new block's name
//	oracle chunks              encodes the series on standard input, one JSON object a line
//	oracle engine DIR WINDOW_MS CAP RANGE_MS [st]   runs the operations on standard input, one JSON object a line; with "st" start
//	                           times are kept, as with the feature st-storage
func engineCommand(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "blocks":
		seed, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		return randomBlocks(seed, args[2])
	case len(args) == 1 && args[0] == "chunks":
		return encodeChunks(os.Stdin, os.Stdout)
	case len(args) > 2 && args[0] == "compact":
		return compactBlocks(args[1], args[2:])
	case (len(args) == 5 || len(args) == 6 && args[5] == "st") && args[0] == "engine":
		var numbers [3]int64
		for i := range numbers {
			n, err := strconv.ParseInt(args[2+i], 10, 64)
			if err != nil {
				return err
			}
			numbers[i] = n
		}
		return runEngine(args[1], numbers[0], numbers[1], numbers[2], len(args) == 6)
	}
	return errors.New("unknown command or arguments: " + strings.Join(args, " "))
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func compactBlocks(into string, dirs []string) error {
	compactor, err := tsdb.NewLeveledCompactor(context.Background(), nil, quiet(), []int64{1}, nil, nil)
	if err != nil {
		return err
	}
	ids, err := compactor.Compact(into, dirs, nil)
	for _, id := range ids {
		fmt.Println(id)
	}
	return err
}

// append appends what the operation names: a small histogram that the tests build as well, a whole one, or a float.
func (o op) append(app storage.Appender, lset labels.Labels) error {
	var err error
	switch {
	case o.Sample != nil:
		var h *histogram.Histogram
		var fh *histogram.FloatHistogram
		if h, fh, err = o.Sample.histograms(); err == nil {
			_, err = app.AppendHistogram(0, lset, o.T, h, fh)
		}
	case o.Histogram > 0:
		_, err = app.AppendHistogram(0, lset, o.T, intHistogram(o.Histogram), nil)
	case o.FloatHistogram > 0:
		_, err = app.AppendHistogram(0, lset, o.T, nil, intHistogram(o.FloatHistogram).ToFloat(nil))
	default:
		_, err = app.Append(0, lset, o.T, math.Float64frombits(o.Bits))
	}
	return err
}

// appendStarted appends a float or a whole histogram with its start time.
func (o op) appendStarted(app storage.AppenderV2, lset labels.Labels) error {
	var h *histogram.Histogram
	var fh *histogram.FloatHistogram
	var err error
	if o.Sample != nil {
		h, fh, err = o.Sample.histograms()
	}
	if err == nil {
		_, err = app.Append(0, lset, o.ST, o.T, math.Float64frombits(o.Bits), h, fh, storage.AOptions{})
	}
	return err
}

func (s histogramSample) histograms() (h *histogram.Histogram, fh *histogram.FloatHistogram, err error) {
	if s.K == "fh" {
		fh, err = s.float()
	} else {
		h, err = s.integer()
	}
	return h, fh, err
}

// intHistogram counts n+1 in one bucket, whose place depends on n, and 1 at zero.
func intHistogram(n uint64) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: 0, ZeroThreshold: 0.001, ZeroCount: 1, Count: n + 2, Sum: float64(n),
		PositiveSpans:   []histogram.Span{{Offset: int32(n % 3), Length: 1}},
		PositiveBuckets: []int64{int64(n + 1)},
	}
}

func randomBlocks(seed int64, dir string) error {
	r := rand.New(rand.NewSource(seed))
	sources := filepath.Join(dir, "sources")
	count := 2 + r.Intn(5)
	var dirs []string
	starts := make([]int64, count)
	for i := range starts {
		starts[i] = int64(r.Intn(4)) * 600_000
	}
	sort.Slice(starts, func(i, j int) bool { return starts[i] < starts[j] })
	for i, start := range starts {
		id, err := randomBlock(r, filepath.Join(dir, fmt.Sprintf("head%d", i)), sources, start)
		if err != nil {
			return err
		}
		dirs = append(dirs, filepath.Join(sources, id))
	}
	fmt.Println(strings.Join(dirs, " "))
	return compactBlocks(filepath.Join(dir, "result"), dirs)
}

// randomBlock writes half an hour of a few series on a coarse grid, so that blocks share times and rarely values.
func randomBlock(r *rand.Rand, head, into string, start int64) (string, error) {
	opts := tsdb.DefaultHeadOptions()
	opts.ChunkRange = 7_200_000
	opts.ChunkDirRoot = head
	h, err := tsdb.NewHead(nil, quiet(), nil, nil, opts, nil)
	if err != nil {
		return "", err
	}
	defer h.Close()
	const half = 1_800_000
	for s := 0; s < 12; s++ {
		if r.Intn(4) == 0 {
			continue
		}
		lset := labels.FromStrings("__name__", "m", "series", strconv.Itoa(s), "block", strconv.Itoa(s%3))
		step := []int64{1000, 5000, 15000, 60000}[r.Intn(4)]
		values := uint64(1 + r.Intn(3))
		t := start + int64(r.Intn(5))*step
		for ; t < start+half && r.Intn(400) > 0; t += step * int64(1+r.Intn(8)/7) {
			app := h.Appender(context.Background())
			o := op{T: t, Bits: math.Float64bits(float64(r.Uint64() % values))}
			switch n := 1 + uint64(t-start)/1000 + r.Uint64()%2; s % 6 {
			case 3:
				o.Histogram = n
			case 4:
				o.FloatHistogram = n
			case 5:
				if t/300_000%2 == 0 {
					o.Histogram = n
				}
			}
			if err := o.append(app, lset); err != nil {
				return "", err
			}
			if err := app.Commit(); err != nil {
				return "", err
			}
		}
	}
	compactor, err := tsdb.NewLeveledCompactor(context.Background(), nil, quiet(), []int64{half}, nil, nil)
	if err != nil {
		return "", err
	}
	ids, err := compactor.Write(into, h, h.MinTime(), h.MaxTime()+1, nil)
	if err != nil || len(ids) == 0 {
		return "", errors.Join(err, errors.New("an empty block"))
	}
	if r.Intn(2) == 0 {
		if err := deleteSome(r, filepath.Join(into, ids[0].String()), start); err != nil {
			return "", err
		}
	}
	return ids[0].String(), nil
}

func deleteSome(r *rand.Rand, dir string, start int64) error {
	block, err := tsdb.OpenBlock(quiet(), dir, nil, nil)
	if err != nil {
		return err
	}
	defer block.Close()
	for range 1 + r.Intn(3) {
		from := start + int64(r.Intn(1_800_000))
		matcher := labels.MustNewMatcher(labels.MatchEqual, "series", strconv.Itoa(r.Intn(12)))
		if err := block.Delete(context.Background(), from, from+int64(r.Intn(900_000)), matcher); err != nil {
			return err
		}
	}
	return nil
}

// op is one operation on an engine: a sample of a batch, or what Do says.
type op struct {
	Do             string `json:"do,omitempty"`
	Batch          []op   `json:"batch,omitempty"`
	Series         int    `json:"series,omitempty"`
	T              int64  `json:"t,omitempty"`
	ST             int64  `json:"st,omitempty"`
	Bits           uint64 `json:"bits,omitempty"`
	Histogram      uint64 `json:"h,omitempty"`
	FloatHistogram uint64 `json:"fh,omitempty"`
	Min            int64  `json:"min,omitempty"`
	Max            int64  `json:"max,omitempty"`
	// A histogram in the form of the golden chunks.
	Sample *histogramSample `json:"sample,omitempty"`
}

func runEngine(dir string, window, capMax, blockRange int64, startTimes bool) error {
	open := func() (*tsdb.DB, error) {
		opts := tsdb.DefaultOptions()
		opts.RetentionDuration = 0
		opts.MinBlockDuration = blockRange
		opts.MaxBlockDuration = blockRange
		opts.OutOfOrderTimeWindow = window
		opts.OutOfOrderCapMax = capMax
		if startTimes {
			opts.EnableSTStorage, opts.EnableHistogramSTEncoding = true, true
			opts.FloatChunkEncoding, opts.XOR2EncodingAllowed = chunkenc.EncXOR2, true
		}
		db, err := tsdb.Open(dir, quiet(), nil, opts, nil)
		if err == nil {
			db.DisableCompactions()
		}
		return db, err
	}
	db, err := open()
	if err != nil {
		return err
	}
	lines := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return db.Close()
		}
		if err != nil {
			return err
		}
		var o op
		if err := json.Unmarshal(line, &o); err != nil {
			return err
		}
		var answer any = "ok"
		switch o.Do {
		case "":
			answer, err = appendBatch(db, o.Batch, startTimes)
		case "compact":
			if err = db.Compact(context.Background()); err == nil {
				answer = blockList(db)
			}
		case "delete":
			matcher := labels.MustNewMatcher(labels.MatchEqual, "series", strconv.Itoa(o.Series))
			err = db.Delete(context.Background(), o.Min, o.Max, matcher)
		case "clean":
			if err = db.CleanTombstones(); err == nil {
				answer = blockList(db)
			}
		case "reopen":
			if err = db.Close(); err == nil {
				db, err = open()
			}
		case "crash":
			if err = crash(db, dir); err == nil {
				db, err = open()
			}
		case "dump":
			answer, err = dump(db)
		default:
			err = errors.New("unknown operation " + o.Do)
		}
		if err != nil {
			return err
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
}

// crash leaves the directory as it is while the database is open: closing writes more.
func crash(db *tsdb.DB, dir string) error {
	aside := dir + ".crashed"
	if err := os.CopyFS(aside, os.DirFS(dir)); err != nil {
		return err
	}
	if err := errors.Join(db.Close(), os.RemoveAll(dir)); err != nil {
		return err
	}
	return os.Rename(aside, dir)
}

func appendBatch(db *tsdb.DB, batch []op, startTimes bool) ([]string, error) {
	var app storage.AppenderTransaction
	var appendOne func(o op, lset labels.Labels) error
	if startTimes {
		started := db.AppenderV2(context.Background())
		app, appendOne = started, func(o op, lset labels.Labels) error { return o.appendStarted(started, lset) }
	} else {
		plain := db.Appender(context.Background())
		app, appendOne = plain, func(o op, lset labels.Labels) error { return o.append(plain, lset) }
	}
	verdicts := make([]string, 0, len(batch))
	for _, o := range batch {
		lset := labels.FromStrings("__name__", "m", "series", strconv.Itoa(o.Series))
		verdict := ""
		if err := appendOne(o, lset); err != nil {
			verdict = err.Error()
		}
		verdicts = append(verdicts, verdict)
	}
	return verdicts, app.Commit()
}

func blockList(db *tsdb.DB) []string {
	list := []string{}
	for _, b := range db.Blocks() {
		m := b.Meta()
		list = append(list, fmt.Sprintf("%d-%d late=%v samples=%d tombstones=%d",
			m.MinTime, m.MaxTime, m.Compaction.FromOutOfOrder(), m.Stats.NumSamples, m.Stats.NumTombstones))
	}
	sort.Strings(list)
	return list
}

// dump gives all samples as text, in order.
func dump(db *tsdb.DB) ([]string, error) {
	q, err := db.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "m"))
	list := []string{}
	for set.Next() {
		series := set.At()
		name := series.Labels().Get("series")
		it := series.Iterator(nil)
		for typ := it.Next(); typ != chunkenc.ValNone; typ = it.Next() {
			switch typ {
			case chunkenc.ValFloat:
				t, v := it.At()
				list = append(list, fmt.Sprintf("%s %d f %016x", name, t, math.Float64bits(v)))
			case chunkenc.ValHistogram:
				t, h := it.AtHistogram(nil)
				list = append(list, fmt.Sprintf("%s %d h %d %016x", name, t, h.Count, math.Float64bits(h.Sum)))
			case chunkenc.ValFloatHistogram:
				t, h := it.AtFloatHistogram(nil)
				list = append(list, fmt.Sprintf("%s %d fh %016x %016x", name, t, math.Float64bits(h.Count), math.Float64bits(h.Sum)))
			}
		}
		if err := it.Err(); err != nil {
			return nil, err
		}
	}
	return list, set.Err()
}
