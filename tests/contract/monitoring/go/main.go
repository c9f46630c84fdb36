// Reads Kubernetes objects as a JSON list, and prints for each what the Prometheus operator's own types do not know of it.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	var objects []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	said := make([]string, len(objects))
	for n, object := range objects {
		if err := check(object); err != nil {
			said[n] = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		os.Exit(1)
	}
}

func check(object []byte) error {
	var named struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(object, &named); err != nil {
		return err
	}
	if named.APIVersion != monitoring.SchemeGroupVersion.String() {
		return fmt.Errorf("apiVersion %q, not %q", named.APIVersion, monitoring.SchemeGroupVersion)
	}
	var into any
	switch named.Kind {
	case monitoring.ServiceMonitorsKind:
		into = &monitoring.ServiceMonitor{}
	case monitoring.PodMonitorsKind:
		into = &monitoring.PodMonitor{}
	case monitoring.PrometheusRuleKind:
		into = &monitoring.PrometheusRule{}
	default:
		return fmt.Errorf("kind %q", named.Kind)
	}
	return yaml.UnmarshalStrict(object, into)
}
