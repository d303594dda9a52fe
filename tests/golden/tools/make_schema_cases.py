#!/usr/bin/env python3
"""Writes schema_cases.json: schemas x values with the verdict of an independent validator.

  python3 make_schema_cases.py        needs the PyPI package jsonschema (made with 4.x, draft 2020-12)

Each schema is tried on the common values and on its own; `valid` is the oracle's answer. A
mismatch in the test means that tools/schema.cpp disagrees with JSON Schema 2020-12: fix the code,
not this file.
"""
import json
import pathlib

import jsonschema

COMMON = [None, True, False, 0, 1, -1, 3, 3.0, 2.5, 1e300, 12345678901234567890, "", "a", "abc",
          "2024", "\u00e9\u00e9\u00e9", "\U0001f600", [], [1], [1, 1.0], [1, "a"], [[1], [1.0]], {}, {"a": 1},
          {"a": "x", "b": 2}, {"b": 2, "a": "x"}, {"c": None}, {"x-1": 5, "y": "z"}]

SCHEMAS = [
    True, False, {}, *({"type": t} for t in
                       ("null", "boolean", "integer", "number", "string", "array", "object")),
    {"type": ["string", "null"]}, {"type": ["integer", "array"]},
    {"enum": [1, "a", None, {"a": "x", "b": 2}]}, {"const": 3}, {"const": [1, 1]},
    {"minimum": 1}, {"maximum": 1}, {"exclusiveMinimum": 1}, {"exclusiveMaximum": 1},
    {"multipleOf": 1}, {"multipleOf": 0.5}, {"multipleOf": 3}, {"multipleOf": 1e-8},
    {"minLength": 1}, {"maxLength": 1}, {"minLength": 3, "maxLength": 3},
    {"pattern": "^[a-z]+$"}, {"pattern": "b"}, {"pattern": "^\\d{4}$"}, {"pattern": "^(a|ab)(c|bcd)$"},
    {"minItems": 1}, {"maxItems": 1}, {"uniqueItems": True}, {"items": {"type": "integer"}},
    {"items": False}, {"prefixItems": [{"type": "integer"}, {"type": "string"}]},
    {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
    {"prefixItems": [True], "items": False}, {"contains": {"type": "string"}},
    {"contains": {"const": 1}, "minContains": 2}, {"contains": {"const": 1}, "maxContains": 1},
    {"contains": {"const": 7}, "minContains": 0},
    {"required": ["a"]}, {"required": ["a", "b"]}, {"minProperties": 1}, {"maxProperties": 1},
    {"properties": {"a": {"type": "integer"}}},
    {"properties": {"a": {}}, "additionalProperties": False},
    {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
    {"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False},
    {"patternProperties": {"^x-": {"maximum": 1}}},
    {"propertyNames": {"maxLength": 1}}, {"dependentRequired": {"a": ["b"]}},
    {"dependentSchemas": {"a": {"required": ["b"]}}},
    {"allOf": [{"type": "integer"}, {"minimum": 1}]},
    {"anyOf": [{"type": "string"}, {"minimum": 2}]},
    {"oneOf": [{"type": "integer"}, {"minimum": 2}]}, {"not": {"type": "object"}},
    {"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"type": "integer"}},
    {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
    {"$defs": {"n": {"type": "integer"}}, "$ref": "#/$defs/n"},
    {"$defs": {"n/m~": {"type": "string"}}, "$ref": "#/$defs/n~1m~0"},
    {"$defs": {"n": {"$anchor": "num", "type": "number"}}, "$ref": "#num", "maximum": 2},
    {"$defs": {"a b": {"type": "object"}}, "$ref": "#/$defs/a%20b"},
    {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"$ref": "#"}}]},
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/t"}},
     "$defs": {"t": {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^x"}]}}},
]

cases = []
for schema in SCHEMAS:
    oracle = jsonschema.Draft202012Validator(schema)
    cases.append({"schema": schema,
                  "valid": "".join("1" if oracle.is_valid(value) else "0" for value in COMMON)})
target = pathlib.Path(__file__).with_name("schema_cases.json")
lines = ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases)
note = f"made by make_schema_cases.py with jsonschema {jsonschema.__version__}"
target.write_text('{"note": ' + json.dumps(note) + ',\n"values": ' +
                  json.dumps(COMMON, ensure_ascii=False) + ',\n"cases": [\n' + lines + "\n]}\n")
print(len(cases) * len(COMMON), "verdicts")
