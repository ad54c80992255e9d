package main

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/kit"
)

func TestCount(t *testing.T) {
	zone := kit.NewLocal("home")
	if n, err := kit.Run(zone, Store, sample); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	got, err := kit.Run(zone, Count, Query{Prefix: "doc/", Top: 3})
	want := []Word{{"data", 3}, {"the", 3}, {"capsule", 2}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("counted %v, %v, want %v", got, err, want)
	}
}

func TestManyDocuments(t *testing.T) {
	zone := kit.NewLocal("home")
	docs := map[string]string{}
	for i := range 200 {
		docs[fmt.Sprintf("%03d", i)] = strings.Repeat("again ", i%7)
	}
	if _, err := kit.Run(zone, Store, docs); err != nil {
		t.Fatal(err)
	}
	got, err := kit.Run(zone, Count, Query{Prefix: "doc/", Top: 9})
	if err != nil || len(got) != 1 || got[0].Count != 200/7*21+0+1+2+3 {
		t.Errorf("counted %v, %v", got, err)
	}
}
