package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"strconv"
	"time"
)

// POST /json takes a list of descriptions, builds the Go value of each and answers
// what json.Marshal gives: {"ok": base64} or {"error": text}.
//
// A description is null, true, false or an object with one member:
//
//	{"str": base64 of UTF-8}      string
//	{"int": digits}               int64, or *big.Int beyond it
//	{"float": 16 hex digits}      float64 of these bits
//	{"bytes": base64}             []byte
//	{"time": [unix, ns, offset]}  time.Time; UTC for a null offset (seconds)
//	{"duration": nanoseconds}     time.Duration
//	{"list": [...]}               []any
//	{"map": [[key, value], ...]}  map[string]any; key: base64 of UTF-8
//	{"intmap": [[key, value]...]} map[int64]any; key: digits
//	{"struct": [[name, value]..]} a struct; name: base64 of UTF-8
func init() {
	handle("/json", func(in []json.RawMessage) (any, error) {
		out := make([]map[string]string, len(in))
		for i, description := range in {
			value, err := build(description)
			if err != nil {
				return nil, fmt.Errorf("value %d: %w", i, err)
			}
			encoded, err := json.Marshal(value)
			if err != nil {
				out[i] = map[string]string{"error": err.Error()}
				continue
			}
			out[i] = map[string]string{"ok": base64.StdEncoding.EncodeToString(encoded)}
		}
		return out, nil
	})
}

func build(description json.RawMessage) (any, error) {
	switch string(bytes.TrimSpace(description)) {
	case "null":
		return nil, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(description, &object); err != nil {
		return nil, err
	}
	for kind, raw := range object {
		switch kind {
		case "list":
			return buildList(raw)
		case "map":
			return buildMap(raw)
		case "intmap":
			return buildIntMap(raw)
		case "struct":
			return buildStruct(raw)
		case "time":
			return buildTime(raw)
		default:
			return buildScalar(kind, raw)
		}
	}
	return nil, fmt.Errorf("empty description")
}

func buildScalar(kind string, raw json.RawMessage) (any, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, err
	}
	switch kind {
	case "str":
		return decodeText(text)
	case "bytes":
		return base64.StdEncoding.DecodeString(text)
	case "int":
		if small, err := strconv.ParseInt(text, 10, 64); err == nil {
			return small, nil
		}
		large, ok := new(big.Int).SetString(text, 10)
		if !ok {
			return nil, fmt.Errorf("no integer: %q", text)
		}
		return large, nil
	case "float":
		bits, err := strconv.ParseUint(text, 16, 64)
		return math.Float64frombits(bits), err
	case "duration":
		ns, err := strconv.ParseInt(text, 10, 64)
		return time.Duration(ns), err
	}
	return nil, fmt.Errorf("unknown kind %q", kind)
}

func decodeText(text string) (string, error) {
	decoded, err := base64.StdEncoding.DecodeString(text)
	return string(decoded), err
}

func buildTime(raw json.RawMessage) (any, error) {
	var parts [3]*int64
	if err := json.Unmarshal(raw, &parts); err != nil {
		return nil, err
	}
	value := time.Unix(*parts[0], *parts[1])
	if parts[2] == nil {
		return value.UTC(), nil
	}
	return value.In(time.FixedZone("", int(*parts[2]))), nil
}

func buildList(raw json.RawMessage) (any, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, err
	}
	list := make([]any, len(items))
	for i, item := range items {
		value, err := build(item)
		if err != nil {
			return nil, err
		}
		list[i] = value
	}
	return list, nil
}

type member struct {
	name  string
	value any
}

func buildMembers(raw json.RawMessage) ([]member, error) {
	var pairs [][2]json.RawMessage
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, err
	}
	members := make([]member, len(pairs))
	for i, pair := range pairs {
		var name string
		if err := json.Unmarshal(pair[0], &name); err != nil {
			return nil, err
		}
		value, err := build(pair[1])
		if err != nil {
			return nil, err
		}
		members[i] = member{name, value}
	}
	return members, nil
}

func buildMap(raw json.RawMessage) (any, error) {
	members, err := buildMembers(raw)
	if err != nil {
		return nil, err
	}
	result := make(map[string]any, len(members))
	for _, m := range members {
		key, err := decodeText(m.name)
		if err != nil {
			return nil, err
		}
		result[key] = m.value
	}
	return result, nil
}

func buildIntMap(raw json.RawMessage) (any, error) {
	members, err := buildMembers(raw)
	if err != nil {
		return nil, err
	}
	result := make(map[int64]any, len(members))
	for _, m := range members {
		key, err := strconv.ParseInt(m.name, 10, 64)
		if err != nil {
			return nil, err
		}
		result[key] = m.value
	}
	return result, nil
}

// Names that a struct tag can hold. ("-" alone would leave the field out.)
var taggable = regexp.MustCompile(`^[\pL\pN!#$%&()*+./:;<=>?@\[\]^_{|}~ ][\pL\pN!#$%&()*+\-./:;<=>?@\[\]^_{|}~ ]*$`)

// buildStruct makes a struct type with a field per name where tags can hold all
// names, and an ordered stand-in for one where they cannot.
func buildStruct(raw json.RawMessage) (any, error) {
	members, err := buildMembers(raw)
	if err != nil {
		return nil, err
	}
	real := true
	for i := range members {
		if members[i].name, err = decodeText(members[i].name); err != nil {
			return nil, err
		}
		real = real && taggable.MatchString(members[i].name)
	}
	if !real {
		return ordered(members), nil
	}
	fields := make([]reflect.StructField, len(members))
	for i, m := range members {
		fieldType := reflect.TypeFor[any]()
		if m.value != nil {
			fieldType = reflect.TypeOf(m.value)
		}
		fields[i] = reflect.StructField{
			Name: fmt.Sprintf("F%d", i),
			Type: fieldType,
			Tag:  reflect.StructTag("json:" + strconv.Quote(m.name)),
		}
	}
	result := reflect.New(reflect.StructOf(fields)).Elem()
	for i, m := range members {
		if m.value != nil {
			result.Field(i).Set(reflect.ValueOf(m.value))
		}
	}
	return result.Interface(), nil
}

// ordered is an object whose members keep their order.
type ordered []member

func (o ordered) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		out.Write(name)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}
