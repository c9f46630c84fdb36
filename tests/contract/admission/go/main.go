// Command admission says of each object what an API server says of it: it runs the very packages with which the server
// validates CustomResourceDefinitions (with the estimated cost of their CEL rules) and custom resources (unknown fields,
// defaults, types and bounds, lists, CEL with its budget, metadata), and merges patches into pod templates. Reads
// {"crds": [...], "objects": [...], "merges": [{"template": …, "patch": …}]} from stdin and writes {"crds": {name: [error]},
// "objects": [[error]], "merges": [{"merged": …, "error": …}]}. Admission policies, rights and stored objects are not here.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

type question struct {
	CRDs    []json.RawMessage `json:"crds"`
	Objects []json.RawMessage `json:"objects"`
	Merges  []merge           `json:"merges"`
}

type answer struct {
	CRDs    map[string][]string `json:"crds"`
	Objects [][]string          `json:"objects"`
	Merges  []merged            `json:"merges"`
}

type served struct {
	structural *structuralschema.Structural
	check      func(*unstructured.Unstructured) []string
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	kinds, told := map[string]served{}, answer{CRDs: map[string][]string{}, Objects: [][]string{}}
	for _, raw := range asked.CRDs {
		name, kind, serving, errs := serve(raw)
		told.CRDs[name] = errs
		kinds[kind] = serving
	}
	for _, raw := range asked.Objects {
		told.Objects = append(told.Objects, create(kinds, raw))
	}
	for _, one := range asked.Merges {
		told.Merges = append(told.Merges, one.carryOut())
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		log.Fatal(err)
	}
}

// serve validates a CRD as its creation does and prepares what its first version needs.
func serve(raw []byte) (string, string, served, []string) {
	external := &v1.CustomResourceDefinition{}
	must(json.Unmarshal(raw, external))
	v1.SetDefaults_CustomResourceDefinition(external)
	v1.SetDefaults_CustomResourceDefinitionSpec(&external.Spec)
	external.Status.StoredVersions = []string{external.Spec.Versions[0].Name}
	internal := &apiextensions.CustomResourceDefinition{}
	must(v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(external, internal, nil))
	errs := []string{}
	for _, err := range crdvalidation.ValidateCustomResourceDefinition(context.Background(), internal) {
		errs = append(errs, err.Error())
	}
	version := internal.Spec.Versions[0]
	of := internal.Spec.Validation
	if version.Schema != nil {
		of = version.Schema
	}
	structural, err := structuralschema.NewStructural(of.OpenAPIV3Schema)
	must(err)
	schemas, _, err := validation.NewSchemaValidator(of.OpenAPIV3Schema)
	must(err)
	kind := schema.GroupVersionKind{Group: internal.Spec.Group, Version: version.Name, Kind: internal.Spec.Names.Kind}
	status := &apiextensions.CustomResourceSubresourceStatus{}
	strategy := customresource.NewStrategy(nil, true, kind, schemas, nil, structural, status, nil, nil)
	check := func(object *unstructured.Unstructured) []string {
		strategy.PrepareForCreate(context.Background(), object)
		found := []string{}
		for _, err := range strategy.Validate(context.Background(), object) {
			found = append(found, err.Error())
		}
		return found
	}
	return external.Name, kind.Kind, served{structural, check}, errs
}

// create decodes strictly, fills in defaults and validates, in the server's order.
func create(kinds map[string]served, raw []byte) []string {
	content := map[string]any{}
	must(utiljson.Unmarshal(raw, &content))
	object := &unstructured.Unstructured{Object: content}
	object.SetNamespace("default")
	serving, known := kinds[object.GetKind()]
	if !known {
		return []string{fmt.Sprintf("no kind %q", object.GetKind())}
	}
	meta := content["metadata"]
	tracked := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	unknown := pruning.PruneWithOptions(content, serving.structural, true, tracked)
	content["metadata"] = meta
	if len(unknown) > 0 {
		found := []string{}
		for _, path := range unknown {
			found = append(found, fmt.Sprintf("unknown field %q", path))
		}
		return found
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(content, serving.structural)
	defaulting.Default(content, serving.structural)
	return serving.check(object)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
