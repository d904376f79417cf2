package rediscli

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/redis/go-redis/v9"
)

// Entry is one key. Value is, with every stored byte string in base64:
//
//	string  the string
//	list    its elements from left to right
//	set     its members, sorted
//	hash    an object: field (as text) -> value
//	zset    pairs [member, score], by score and then member, as Redis orders them
type Entry struct {
	Type  string `json:"type"`
	Value any    `json:"value"`
	TTL   int64  `json:"ttl_ms"` // -1: never expires
}

// Dump reads the whole database. Keys are taken as text.
func Dump(ctx context.Context, c *redis.Client) (map[string]Entry, error) {
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil {
		return nil, err
	}
	out := make(map[string]Entry, len(keys))
	for _, key := range keys {
		kind, err := c.Type(ctx, key).Result()
		if err != nil {
			return nil, err
		}
		value, err := read(ctx, c, key, kind)
		if err == redis.Nil || kind == "none" {
			continue // it expired meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		ttl, err := c.PTTL(ctx, key).Result()
		if err != nil {
			return nil, err
		}
		entry := Entry{Type: kind, Value: value, TTL: -1}
		if ttl > 0 {
			entry.TTL = int64(ttl / time.Millisecond)
		}
		out[key] = entry
	}
	return out, nil
}

func read(ctx context.Context, c *redis.Client, key, kind string) (any, error) {
	switch kind {
	case "string":
		return c.Get(ctx, key).Bytes()
	case "list":
		items, err := c.LRange(ctx, key, 0, -1).Result()
		return byteStrings(items), err
	case "set":
		items, err := c.SMembers(ctx, key).Result()
		sort.Strings(items)
		return byteStrings(items), err
	case "hash":
		fields, err := c.HGetAll(ctx, key).Result()
		out := make(map[string][]byte, len(fields))
		for field, value := range fields {
			out[field] = []byte(value)
		}
		return out, err
	case "zset":
		items, err := c.ZRangeWithScores(ctx, key, 0, -1).Result()
		out := make([][2]any, 0, len(items))
		for _, item := range items {
			out = append(out, [2]any{[]byte(item.Member.(string)), item.Score})
		}
		return out, err
	case "none":
		return nil, nil
	}
	return nil, fmt.Errorf("no rule for the type %q", kind)
}

func byteStrings(items []string) [][]byte {
	out := make([][]byte, 0, len(items))
	for _, item := range items {
		out = append(out, []byte(item))
	}
	return out
}
