// Package rediscli names a Redis database in the flags and requests of the
// interop programs.
package rediscli

import (
	"flag"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Target is one database of one server.
type Target struct {
	Redis    string `json:"redis"` // host:port, or the path of a unix socket
	DB       int    `json:"db"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// Flags registers -redis, -db, -username and -password.
func Flags() *Target {
	t := &Target{}
	flag.StringVar(&t.Redis, "redis", "127.0.0.1:6379", "host:port, or the path of a unix socket")
	flag.IntVar(&t.DB, "db", 0, "database number")
	flag.StringVar(&t.Username, "username", "", "ACL user")
	flag.StringVar(&t.Password, "password", "", "password")
	return t
}

func (t Target) network() string {
	if strings.HasPrefix(t.Redis, "/") {
		return "unix"
	}
	return "tcp"
}

// Asynq returns the target in asynq's form.
func (t Target) Asynq() asynq.RedisClientOpt {
	return asynq.RedisClientOpt{
		Network: t.network(), Addr: t.Redis, DB: t.DB, Username: t.Username, Password: t.Password,
	}
}

// Client connects without asynq, to look at what is stored.
func (t Target) Client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Network: t.network(), Addr: t.Redis, DB: t.DB, Username: t.Username, Password: t.Password,
	})
}
