package main

import (
	"encoding/base64"
	"strconv"
	"time"
)

// gotextIn asks for Go's text forms. Texts travel as base64, as they need not be UTF-8.
type gotextIn struct {
	Quote         []string `json:"quote"`
	Unquote       []string `json:"unquote"`
	Duration      []int64  `json:"duration"`
	ParseDuration []string `json:"parse_duration"`
	// UnixDate: an instant and either the name of a location, or an offset with a zone
	// name, which may be empty.
	UnixDate []struct {
		Unix     int64  `json:"unix"`
		Location string `json:"location"`
		Offset   int    `json:"offset"`
		Zone     string `json:"zone"`
	} `json:"unix_date"`
	// ParseUnixDate reads texts as a program does whose local zone is Location.
	ParseUnixDate struct {
		Location string   `json:"location"`
		Texts    []string `json:"texts"`
	} `json:"parse_unix_date"`
}

// parsed is the outcome of reading a text: a value, or why there is none.
type parsed struct {
	Text   string `json:"text,omitempty"`
	Number int64  `json:"number"`
	Offset int    `json:"offset"`
	Error  string `json:"error,omitempty"`
}

type gotextOut struct {
	Quote         []string `json:"quote"`
	Unquote       []parsed `json:"unquote"`
	Duration      []string `json:"duration"`
	ParseDuration []parsed `json:"parse_duration"`
	UnixDate      []string `json:"unix_date"`
	ParseUnixDate []parsed `json:"parse_unix_date"`
}

func init() {
	handle("/gotext", func(in gotextIn) (any, error) {
		var out gotextOut
		for _, encoded := range in.Quote {
			text, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				return nil, err
			}
			quoted := strconv.Quote(string(text))
			out.Quote = append(out.Quote, base64.StdEncoding.EncodeToString([]byte(quoted)))
		}
		for _, encoded := range in.Unquote {
			text, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				return nil, err
			}
			plain, err := strconv.Unquote(string(text))
			answer := parsed{Text: base64.StdEncoding.EncodeToString([]byte(plain))}
			if err != nil {
				answer = parsed{Error: err.Error()}
			}
			out.Unquote = append(out.Unquote, answer)
		}
		for _, ns := range in.Duration {
			out.Duration = append(out.Duration, time.Duration(ns).String())
		}
		for _, encoded := range in.ParseDuration {
			text, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				return nil, err
			}
			d, err := time.ParseDuration(string(text))
			answer := parsed{Number: int64(d)}
			if err != nil {
				answer = parsed{Error: err.Error()}
			}
			out.ParseDuration = append(out.ParseDuration, answer)
		}
		for _, t := range in.UnixDate {
			location := time.FixedZone(t.Zone, t.Offset)
			if t.Location != "" {
				var err error
				if location, err = time.LoadLocation(t.Location); err != nil {
					return nil, err
				}
			}
			out.UnixDate = append(out.UnixDate, time.Unix(t.Unix, 0).In(location).Format(time.UnixDate))
		}
		local, err := time.LoadLocation(in.ParseUnixDate.Location)
		if err != nil {
			return nil, err
		}
		for _, text := range in.ParseUnixDate.Texts {
			answer := parsed{}
			// With a location given, abbreviations are looked up there, as time.Parse
			// looks them up in time.Local.
			if t, err := time.ParseInLocation(time.UnixDate, text, local); err != nil {
				answer.Error = err.Error()
			} else {
				answer.Number = t.Unix()
				answer.Text, answer.Offset = t.Zone()
			}
			out.ParseUnixDate = append(out.ParseUnixDate, answer)
		}
		return out, nil
	})
}
