// Command prometheus is the storage and the query engine of Prometheus behind the part of its HTTP API that the contract
// test uses. It is built where only the whole server of another major version is at hand: compiling the whole server
// takes its service discoveries along.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"math"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
)

const module = "github.com/prometheus/prometheus"

func main() {
	for _, ignored := range []string{"config.file", "storage.tsdb.retention.time", "log.level"} {
		flag.String(ignored, "", "as of the server, without effect")
	}
	flag.Bool("web.enable-remote-write-receiver", true, "as of the server, always on")
	path := flag.String("storage.tsdb.path", "data", "database")
	address := flag.String("web.listen-address", "127.0.0.1:9090", "address")
	version := flag.Bool("version", false, "print the version")
	flag.Parse()
	if *version {
		fmt.Printf("prometheus (engine and storage only), version %s\n", moduleVersion())
		return
	}
	log.Fatal(serve(*path, *address))
}

// moduleVersion maps the library's version to the server's: v0.305.0 is 3.5.0.
func moduleVersion() string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		var minor, patch int
		if dependency.Path != module {
			continue
		}
		if _, err := fmt.Sscanf(dependency.Version, "v0.%d.%d", &minor, &patch); err == nil {
			return fmt.Sprintf("%d.%d.%d", minor/100, minor%100, patch)
		}
	}
	return "unknown"
}

func serve(path, address string) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	options := tsdb.DefaultOptions()
	options.RetentionDuration = 0
	options.OutOfOrderTimeWindow = (100000 * time.Hour).Milliseconds()
	db, err := tsdb.Open(path, logger, nil, options, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	engine := promql.NewEngine(promql.EngineOpts{
		Logger:                   logger,
		MaxSamples:               50000000,
		Timeout:                  time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
	})
	messages := []config.RemoteWriteProtoMsg{config.RemoteWriteProtoMsgV1}
	http.Handle("/api/v1/write", remote.NewWriteHandler(logger, nil, db, messages, false))
	http.HandleFunc("/-/ready", func(http.ResponseWriter, *http.Request) {})
	http.HandleFunc("/api/v1/query", func(w http.ResponseWriter, r *http.Request) {
		query, err := engine.NewInstantQuery(r.Context(), db, nil, r.FormValue("query"), at(r, "time"))
		answer(w, r, query, err)
	})
	http.HandleFunc("/api/v1/query_range", func(w http.ResponseWriter, r *http.Request) {
		step := time.Duration(seconds(r, "step") * float64(time.Second))
		query, err := engine.NewRangeQuery(r.Context(), db, nil, r.FormValue("query"), at(r, "start"), at(r, "end"), step)
		answer(w, r, query, err)
	})
	return http.ListenAndServe(address, nil)
}

func seconds(r *http.Request, name string) float64 {
	value, err := strconv.ParseFloat(r.FormValue(name), 64)
	if err != nil {
		panic(err)
	}
	return value
}

func at(r *http.Request, name string) time.Time {
	whole, fraction := math.Modf(seconds(r, name))
	return time.Unix(int64(whole), int64(math.Round(fraction*1000))*int64(time.Millisecond))
}

func answer(w http.ResponseWriter, r *http.Request, query promql.Query, err error) {
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]any{"status": "error", "error": err.Error()})
		return
	}
	defer query.Close()
	result := query.Exec(r.Context())
	if result.Err != nil {
		reply(w, http.StatusUnprocessableEntity, map[string]any{"status": "error", "error": result.Err.Error()})
		return
	}
	data := map[string]any{"resultType": result.Value.Type(), "result": shown(result)}
	reply(w, http.StatusOK, map[string]any{"status": "success", "data": data})
}

func shown(result *promql.Result) any {
	series := []map[string]any{}
	switch value := result.Value.(type) {
	case promql.Vector:
		for _, one := range value {
			series = append(series, map[string]any{"metric": one.Metric, "value": point(one.T, one.F)})
		}
	case promql.Matrix:
		for _, one := range value {
			points := [][]any{}
			for _, sample := range one.Floats {
				points = append(points, point(sample.T, sample.F))
			}
			series = append(series, map[string]any{"metric": one.Metric, "values": points})
		}
	case promql.Scalar:
		return point(value.T, value.V)
	default:
		return value.String()
	}
	return series
}

func point(at int64, value float64) []any {
	return []any{float64(at) / 1000, strconv.FormatFloat(value, 'f', -1, 64)}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Print(err)
	}
}
