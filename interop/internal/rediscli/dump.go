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

// Dump reads the whole database, in three round trips. Keys are taken as text.
func Dump(ctx context.Context, c *redis.Client) (map[string]Entry, error) {
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil {
		return nil, err
	}
	asked := c.Pipeline()
	kinds := make([]*redis.StatusCmd, len(keys))
	for i, key := range keys {
		kinds[i] = asked.Type(ctx, key)
	}
	if _, err := asked.Exec(ctx); err != nil {
		return nil, err
	}
	asked = c.Pipeline()
	values := make([]func() (any, error), len(keys))
	ttls := make([]*redis.DurationCmd, len(keys))
	for i, key := range keys {
		values[i] = read(ctx, asked, key, kinds[i].Val())
		ttls[i] = asked.PTTL(ctx, key)
	}
	// What goes wrong is told by each command for itself.
	asked.Exec(ctx)
	out := make(map[string]Entry, len(keys))
	for i, key := range keys {
		value, err := values[i]()
		if err == redis.Nil || kinds[i].Val() == "none" {
			continue // it expired meanwhile
		}
		if err == nil {
			err = ttls[i].Err()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		entry := Entry{Type: kinds[i].Val(), Value: value, TTL: -1}
		if ttl := ttls[i].Val(); ttl > 0 {
			entry.TTL = int64(ttl / time.Millisecond)
		}
		out[key] = entry
	}
	return out, nil
}

// read asks for a value; the function that it returns gives the answer, when there is one.
func read(ctx context.Context, c redis.Cmdable, key, kind string) func() (any, error) {
	switch kind {
	case "string":
		answer := c.Get(ctx, key)
		return func() (any, error) { return answer.Bytes() }
	case "list":
		answer := c.LRange(ctx, key, 0, -1)
		return func() (any, error) { return byteStrings(answer.Val()), answer.Err() }
	case "set":
		answer := c.SMembers(ctx, key)
		return func() (any, error) {
			sort.Strings(answer.Val())
			return byteStrings(answer.Val()), answer.Err()
		}
	case "hash":
		answer := c.HGetAll(ctx, key)
		return func() (any, error) {
			out := make(map[string][]byte, len(answer.Val()))
			for field, value := range answer.Val() {
				out[field] = []byte(value)
			}
			return out, answer.Err()
		}
	case "zset":
		answer := c.ZRangeWithScores(ctx, key, 0, -1)
		return func() (any, error) {
			out := make([][2]any, 0, len(answer.Val()))
			for _, item := range answer.Val() {
				out = append(out, [2]any{[]byte(item.Member.(string)), item.Score})
			}
			return out, answer.Err()
		}
	case "none":
		return func() (any, error) { return nil, nil }
	}
	return func() (any, error) { return nil, fmt.Errorf("no rule for the type %q", kind) }
}

func byteStrings(items []string) [][]byte {
	out := make([][]byte, 0, len(items))
	for _, item := range items {
		out = append(out, []byte(item))
	}
	return out
}
