package main

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// setting is one key of the configuration as the environment sees it.
type setting struct {
	key     string // trust_domain, listen.rest, …
	env     string // PANDO_TRUST_DOMAIN, PANDO_LISTEN_REST, …
	section string // PANDO_LISTEN_ for listen.rest; empty at the top
	value   reflect.Value
}

// settings lists every key of cfg; their values are the fields of cfg. A list is one key.
func settings(cfg *config) []setting {
	var all []setting
	for f, value := range reflect.ValueOf(cfg).Elem().Fields() {
		key := keyOf(f)
		if value.Kind() != reflect.Struct {
			all = append(all, setting{key: key, env: envName(key), value: value})
			continue
		}
		for sub, value := range value.Fields() {
			full := joinKey(key, keyOf(sub))
			all = append(all, setting{key: full, env: envName(full), section: envName(key) + "_", value: value})
		}
	}
	return all
}

// envName is the environment variable of a key.
func envName(key string) string {
	return "PANDO_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// overrideConfig sets the keys that the environment has variables for. A list is written as
// YAML: [a, b].
//
// A misspelt variable is refused when it begins like a section (PANDO_LISTEN_…). Others that
// begin with PANDO_ are left alone: Kubernetes makes some of its own for a service named pando.
func overrideConfig(cfg *config, environ []string) error {
	all := settings(cfg)
	byName := make(map[string]setting, len(all))
	for _, s := range all {
		byName[s.env] = s
	}
	for _, variable := range environ {
		name, text, _ := strings.Cut(variable, "=")
		s, ok := byName[name]
		if !ok {
			if inSection(name, all) {
				return fmt.Errorf("environment: unknown variable %s%s", name, didYouMean(name, byName))
			}
			continue
		}
		if err := s.set(text); err != nil {
			return fmt.Errorf("environment: %s: %w", name, err)
		}
	}
	return nil
}

func inSection(name string, all []setting) bool {
	for _, s := range all {
		if s.section != "" && strings.HasPrefix(name, s.section) {
			return true
		}
	}
	return false
}

// set gives a key the value that text stands for.
func (s setting) set(text string) error {
	if s.value.Kind() == reflect.String {
		s.value.SetString(text) // as it is: YAML would make something else of "" or "~"
		return nil
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return err
	}
	if len(document.Content) == 0 {
		return fmt.Errorf("is empty")
	}
	if err := checkKeys(document.Content[0], s.value.Type(), s.key); err != nil {
		return err
	}
	fresh := reflect.New(s.value.Type())
	if err := document.Decode(fresh.Interface()); err != nil {
		return oneLine(err)
	}
	s.value.Set(fresh.Elem())
	return nil
}
