package main

import (
	"encoding/hex"
	"regexp"
	"regexp/syntax"
	"sort"
	"unicode"
)

// pattern and its texts, in hexadecimal digits since neither need be UTF-8.
type pattern struct {
	Pattern  string   `json:"pattern"`
	Template string   `json:"template"`
	Texts    []string `json:"texts"`
}

// matches of a pattern: an error, or for each text what the template expands to, null where it does not match.
type matches struct {
	Error    string    `json:"error"`
	Expanded []*string `json:"expanded"`
}

func unhex(digits string) string {
	text, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// matchAll anchors patterns as Prometheus's matchers and label_replace do.
func matchAll(patterns []pattern) []matches {
	out := make([]matches, len(patterns))
	for i, p := range patterns {
		if _, err := syntax.Parse(unhex(p.Pattern), syntax.Perl|syntax.DotNL); err != nil {
			out[i].Error = err.Error()
			continue
		}
		re, err := regexp.Compile("^(?s:" + unhex(p.Pattern) + ")$")
		if err != nil {
			out[i].Error = err.Error()
			continue
		}
		for _, digits := range p.Texts {
			text := unhex(digits)
			indexes := re.FindStringSubmatchIndex(text)
			if indexes == nil {
				out[i].Expanded = append(out[i].Expanded, nil)
				continue
			}
			expanded := hex.EncodeToString(re.ExpandString(nil, unhex(p.Template), text, indexes))
			out[i].Expanded = append(out[i].Expanded, &expanded)
		}
	}
	return out
}

// class is a character class of Go's tables: pairs of first and last character.
type class struct {
	Name   string  `json:"name"`
	Ranges []int32 `json:"ranges"`
}

func classes() (out []class) {
	names := []string{}
	for name := range unicode.Categories {
		names = append(names, name)
	}
	for name := range unicode.Scripts {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, fold := range []string{"", "(?i)"} {
			text := fold + `\p{` + name + `}`
			parsed, err := syntax.Parse(text, syntax.Perl)
			if err != nil {
				continue
			}
			ranges := append([]int32{}, parsed.Rune...)
			switch parsed.Op {
			case syntax.OpLiteral: // a class of one character
				ranges = []int32{parsed.Rune[0], parsed.Rune[0]}
			case syntax.OpAnyChar:
				ranges = []int32{0, unicode.MaxRune}
			}
			out = append(out, class{text, ranges})
		}
	}
	return out
}
