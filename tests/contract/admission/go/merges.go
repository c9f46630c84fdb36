package main

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

type merge struct {
	Template json.RawMessage `json:"template"`
	Patch    json.RawMessage `json:"patch"`
}

type merged struct {
	Merged json.RawMessage `json:"merged,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// carryOut merges as the server does for a PATCH of type application/strategic-merge-patch+json.
func (m merge) carryOut() merged {
	done, err := strategicpatch.StrategicMergePatch(m.Template, m.Patch, corev1.PodTemplateSpec{})
	if err != nil {
		return merged{Error: err.Error()}
	}
	return merged{Merged: done}
}
