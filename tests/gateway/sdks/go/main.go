// Sends the events on standard input with the Go SDK, and prints the ids or the error.
package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"

	"github.com/inngest/inngestgo"
)

func main() {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	options := inngestgo.ClientOpts{AppID: "test", Logger: slog.Default()}
	if env := os.Getenv("SDK_ENV"); env != "" {
		options.Env = &env
	}
	client, err := inngestgo.NewClient(options)
	if err != nil {
		panic(err)
	}
	var given []inngestgo.Event
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	events := []any{}
	for _, event := range given {
		events = append(events, event)
	}
	ids, err := client.SendMany(context.Background(), events)
	result := map[string]any{"ids": ids}
	if err != nil {
		result = map[string]any{"error": err.Error()}
	}
	_ = json.NewEncoder(os.Stdout).Encode(result)
}
