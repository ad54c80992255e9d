// Command wordcount counts the words of the documents that a zone keeps, where they are: the code goes to the data.
package main

import (
	"context"
	"fmt"
	"log"
	"slices"
	"strings"

	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
)

// Query says which documents, and how many words to report.
type Query struct {
	Prefix string
	Top    int
}

// Word is one line of the report.
type Word struct {
	Text  string
	Count int
}

// Count runs in the zone and reads every document under the prefix.
func Count(ctx kit.Context, q Query) ([]Word, error) {
	counts := map[string]int{}
	for doc, err := range kit.Scan[string](ctx, q.Prefix) {
		if err != nil {
			return nil, err
		}
		for _, w := range strings.Fields(strings.ToLower(doc.Value)) {
			if w = strings.Trim(w, ".,;:!?\"'()"); w != "" {
				counts[w]++
			}
		}
	}
	words := make([]Word, 0, len(counts))
	for text, n := range counts {
		words = append(words, Word{text, n})
	}
	slices.SortFunc(words, func(a, b Word) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Text, b.Text)
	})
	return words[:min(len(words), q.Top)], nil
}

// Store runs in the zone too, and keeps documents under doc/ and their names.
func Store(ctx kit.Context, docs map[string]string) (int, error) {
	for name, text := range docs {
		if err := kit.Put(ctx, "doc/"+name, text); err != nil {
			return 0, err
		}
	}
	return len(docs), nil
}

var sample = map[string]string{
	"1": "The capsule travels to the data. The data stays where it is.",
	"2": "A capsule that waits is data, too.",
}

func main() {
	ctx := context.Background()
	client, err := sdk.FromEnv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := sdk.Run(ctx, client, Store, sample, sdk.Keys("kv/doc/*")); err != nil {
		log.Fatal(err)
	}
	words, err := sdk.Run(ctx, client, Count, Query{Prefix: "doc/", Top: 5}, sdk.Keys("kv/doc/*"))
	if err != nil {
		log.Fatal(err)
	}
	for _, w := range words {
		fmt.Printf("%4d %s\n", w.Count, w.Text)
	}
}
