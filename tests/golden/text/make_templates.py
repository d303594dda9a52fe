"""Makes templates.json: chat templates and small Jinja programs rendered by an independent engine.

Oracle: Python jinja2 (ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loopcontrols) with
the tojson and raise_exception of Hugging Face transformers' apply_chat_template.
Run by hand:  python tests/golden/text/make_templates.py FOLDER_WITH_JINJA_FILES
The published templates themselves are not stored, only our messages and the rendered results; a
published template is named by its file name. Own templates are stored in full.
"""

import json
import pathlib
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from template_cases import CHATS, DERIVED, OWN_TEMPLATES, PROGRAMS


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


def render(source, variables):
    """The text, or None when the template refuses or fails."""
    try:
        return environment().from_string(source).render(**variables)
    except (jinja2.exceptions.TemplateError, TypeError, ValueError, ZeroDivisionError):
        return None


def main():
    folder = pathlib.Path(sys.argv[1])
    here = pathlib.Path(__file__).parent
    published = {path.name: path.read_text() for path in sorted(folder.glob("*.jinja"))}
    for name, change in DERIVED.items():
        assert published[change["from"]].count(change["old"]) == 1
        published[name] = published[change["from"]].replace(change["old"], change["new"])
    out = {"made by": "make_templates.py, jinja2 " + jinja2.__version__,
           "own": OWN_TEMPLATES, "derived": DERIVED, "chats": [], "programs": []}
    for chat in CHATS:
        variables = {"tools": None, "documents": None, **chat["variables"]}
        case = {"name": chat["name"], "variables": chat["variables"], "rendered": {}}
        for name, source in {**published, **OWN_TEMPLATES}.items():
            case["rendered"][name] = render(source, variables)
        out["chats"].append(case)
    for source, variables in PROGRAMS:
        out["programs"].append({"source": source, "variables": variables,
                                "rendered": render(source, variables)})
    text = json.dumps(out, ensure_ascii=False, indent=0)
    (here / "templates.json").write_text(text + "\n")
    failed = [p["source"] for p in out["programs"] if p["rendered"] is None]
    print(len(out["chats"]), "chats,", len(out["programs"]), "programs; refused by the oracle:")
    print("\n".join(failed))


if __name__ == "__main__":
    main()
