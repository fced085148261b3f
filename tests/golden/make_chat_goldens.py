#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/chat/cases.json: chat templates, messages, and the texts that transformers makes of them.

Needs transformers and jinja2 from PyPI in a virtual environment (made with transformers 5.24.0, jinja2 3.1.6). The templates are our
own; each of the first ones asks for what the template of one family of models asks for, in its layout. After them come single
expressions and blanks around tags. A case has "text", or "refused": what the template says by raise_exception(), empty
where something else is wrong.
"""
import json
import pathlib

import jinja2
from transformers.utils.chat_template_utils import render_jinja_template

HERE = pathlib.Path(__file__).parent / "chat"

CHATML = """{%- for m in messages %}
    {%- if loop.first and m.role != 'system' %}
        {{- '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}
    {%- endif %}
    {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

SMALL = ("{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nHelp.<|im_end|>\n' }}{% endif %}"
         "{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")

TOOLS = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(searching=true, last_query=messages|length - 1) %}
{%- for m in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and m.role == "user" and m.content is string and not(m.content.startswith('<reply>') and m.content.endswith('</reply>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last_query = index %}
    {%- endif %}
{%- endfor %}
{%- for m in messages %}
    {%- if m.content is string %}
        {%- set content = m.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (m.role == "user") or (m.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + m.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif m.role == "assistant" %}
        {%- set thought = '' %}
        {%- if m.thought is string %}
            {%- set thought = m.thought %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query and (loop.last or (not loop.last and thought)) %}
            {{- '<|im_start|>' + m.role + '\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + m.role + '\\n' + content }}
        {%- endif %}
        {%- for call in m.calls %}
            {%- if (loop.first and content) or (not loop.first) %}
                {{- '\\n' }}
            {%- endif %}
            {{- '<call>{"name": "' ~ call.name ~ '", "arguments": ' }}
            {%- if call.arguments is string %}
                {{- call.arguments }}
            {%- else %}
                {{- call.arguments | tojson }}
            {%- endif %}
            {{- '}</call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif m.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<reply>\\n' + content + '\\n</reply>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""

HEADERS = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message goes first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif message.role == "tool" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One call at once!") }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '{"name": "' + call.name + '", ' }}{% for arg_name, arg_val in call.arguments | items %}{{- arg_name + '="' + arg_val + '"' }}{%- if not loop.last %}{{- ", " }}{%- endif %}{%- endfor %}{{- "}" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

INST = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported!") }}
    {%- endif %}
{%- endfor %}
"""

TURNS = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
"""

MACROS = """{%- macro show(value, name="it", depth=0) -%}
{%- if value is mapping -%}
{%- for k in value %}{{ '  ' * 0 ~ k ~ ':' }}{{ show(value[k], depth=depth + 1) }};{% endfor -%}
{%- elif value is sequence and value is not string -%}
[{% for v in value %}{{ show(v, k, depth=depth + 1) }}{{ ',' if not loop.last }}{% endfor %}]
{%- else -%}
{{ value }}@{{ depth }}{{ name }}
{%- endif -%}
{%- endmacro -%}
{%- set k = "outer" -%}
{%- for m in messages %}{% generation %}{{ show(m) }}{% endgeneration %}
{% endfor %}"""

SYSTEM = {"role": "system", "content": "  You are a fox.\n"}
USER = {"role": "user", "content": " Who are you? "}
ANSWER = {"role": "assistant", "content": "A fox.\n"}
AGAIN = {"role": "user", "content": "Why? \u00e9\u2028<b>&\"quoted\"</b>"}
PART = {"role": "assistant", "content": "Because I "}
THOUGHT = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nA fox.", "calls": [{"name": "f", "arguments": {"x": [1, 2.5, None, True], "\u00fc": "\n"}}]}
TOOL = {"role": "tool", "content": "42"}
PARTS = {"role": "user", "content": [{"type": "text", "text": " Look "}, {"type": "image"}]}
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": "1", "b": "2"}}}]}

CHATS = {"one": [USER], "system": [SYSTEM, USER], "three": [USER, ANSWER, AGAIN], "four": [SYSTEM, USER, ANSWER, AGAIN],
         "begun": [USER, ANSWER, AGAIN, PART]}

BOS, EOS = "<s>", "</s>"


def render(template, messages, arguments):
    case = {"template": template, "messages": messages, "arguments": arguments, "bos_token": BOS, "eos_token": EOS}
    begun = messages[-1]["role"] == "assistant"
    try:
        texts, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=not begun, continue_final_message=begun,
                                         **{"bos_token": BOS, "eos_token": EOS, **arguments})
        case["text"] = texts[0]
    except (jinja2.exceptions.TemplateError, TypeError) as error:
        case["refused"] = str(error) if type(error) is jinja2.exceptions.TemplateError else ""
    return case


EXPRESSIONS = """1 + 2 * 3 - 4 // 3 % 2
7 // 2 ~ -7 // 2 ~ 7 % 3 ~ -7 % 3 ~ 7 / 2
(1.5 + 1) ~ ' ' ~ 2.0 * 3 ~ ' ' ~ 1e3 ~ ' ' ~ 0.1
1.5 + 1 ~ ' '
1 + 'a'
nothing.x
none + 1
{} < {}
nothing + 'a'
nothing()
-2 | string ~ 'x'
'a' 'b' "c"
'a\\tb\\\\n\\'q\\' \\u00e9 \\x41 \\q'
"it's" + '"'
not true or true and not false
1 < 2 <= 2 < 3
1 < 2 > 2
'a' in 'cat' and 'x' not in 'cat'
'role' in messages[0]
2 in [1, 2] and 3 not in (1, 2)
none is none and messages is not none
nothing is defined
nothing is not defined
nothing | default('d') ~ '' | default('e') ~ '' | default('f', true) ~ '' | d('g', boolean=True)
nothing.x is defined if nothing is defined else 'no'
messages[5] is defined
messages[-1].content
messages[0]['content'][1:4]
messages[0].content[::-1]
messages[0].content[-3:]
[1, 2, 3, 4][1:3] | tojson
[1, 2, 3, 4][::-2] | tojson
[1, 2, 3, 4][-1:0:-1] | tojson
[1, 2, 3, 4][10:] | tojson
(1, 2) | tojson
[] | tojson ~ {} | tojson
{'b': 1, 'a': [1, {'c': none}], 'd': "\\u00e9<\\"\\n\\x7f"} | tojson
{'b': 1, 'a': [1, {'c': none}], 'd': []} | tojson(indent=2)
'x' if false
('x' if false else 'y') ~ ('a' if true else 'b' if true else 'c')
'  a b '.strip() ~ '|' ~ '  a'.lstrip() ~ '|' ~ 'b  '.rstrip() ~ '|' ~ 'xxaxx'.strip('x')
'\\u00a0a\\u3000' | trim ~ '|'
'a,b,,c'.split(',') | join('-')
'a,b,c'.split(',', 1) | tojson
' a  b c '.split() | tojson
' a  b  c '.split(none, 1) | tojson
'abc'.startswith('ab') ~ 'abc'.endswith(('x', 'c'))
'aXbX'.replace('X', 'yy') ~ 'aXbX' | replace('X', '', 1)
'hello World'.upper() ~ 'Hello'.lower() ~ 'hELLO wORLD' | capitalize ~ 'hello-my wORLD' | title
'abc' | length ~ '\\u00e9\\u00e9' | count ~ [1, 2] | length ~ {'a': 1} | length ~ nothing | length
[3, 1] | first ~ [3, 1] | last ~ 'xyz' | first ~ 'xyz' | last
'abc' | list | join('.') ~ 'abc' | reverse
[1, 2] + [3] | tojson
[1, 2, 3] | reverse | list | tojson
messages | map(attribute='role') | join(',')
['a', 'b'] | map('upper') | join
messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | tojson
messages | rejectattr('role', 'in', ['user']) | list | length
[1, 2, 3, 4] | select('even') | list | tojson
[0, 1, '', 'a', none] | reject | list | tojson
messages | selectattr('nothing') | list | length
{'a': 1, 'b': 2}.items() | list | tojson
{'a': 1}.get('a') ~ {'a': 1}.get('b') ~ {'a': 1}.get('b', 7) ~ {'a': 1}.keys() | join ~ {'a': 1}.values() | list | tojson
{'a': 1} | items | list | tojson
dict(a=1, b='x') | tojson
'7' | int + 1 ~ 'x' | int ~ 'x' | int(5) ~ 3.9 | int
range(3) | list | tojson ~ range(5, 1, -2) | list | tojson
1 is number and 'a' is string and [] is sequence and {} is mapping and 1 is integer and 1.5 is float and true is boolean
'a' is iterable and true is not integer and 4 is divisibleby 2 and 3 is odd and 4 is even and true is true and 1 is not true
1 is eq 1 and 2 is gt 1 and 1 is le 1 and 'a' is in 'cat' and nothing is undefined and 1 is ne 2
true == 1 ~ 'a' == 1 ~ [1] == [1.0] ~ {'a': 1} == {'a': true} ~ none == nothing
none ~ true ~ false ~ nothing
[nothing, none] | join('+')
'%' ~ '{' ~ '}}' ~ '{{'
{'a': {'b': 1}}.a.b
{'a': 1}['a'] ~ {'a': 1}['b'] ~ messages[0].nothing
(messages | length) - 1
- 3 + + 4
'x' ~ (1, 'b')[1]
messages | length == 2
'a' < 'b' and 'B' < 'a'
raise_exception('no: ' ~ 1)
'abc'[1] ~ 'abc'[-1] ~ 'abc'[9]
'join'.join(['a', 'b'])
bos_token + eos_token
'a' | safe | upper | lower
""".rstrip("\n").split("\n")

STATEMENTS = [
    "a\n  {% if true %}\n  b\n  {% endif %}\n c\n\n",
    "a {%- if true -%} b {%- endif -%} c {{- 1 -}} d",
    "  {%+ if true %} x{% endif +%}\ny",
    "\t{# gone #}\n x {#- gone -#} y\n{# gone #}z\n",
    "a\n{{ 1 }}\n{{ 2 -}}\n  b\r\nc\rd",
    "{% for x in [1, 2, 3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}",
    "{% for x in [] %}a{% else %}none{% endfor %}{% for x in nothing %}a{% else %}empty{% endfor %}",
    "{% for x in [1, 2, 3, 4] if x % 2 == 0 %}{{ x }}/{{ loop.length }} {% endfor %}",
    "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}-{{ b }};{% endfor %}{% for k, v in {'x': 1}.items() %}{{ k ~ v }}{% endfor %}{% for c in 'ab' %}{{ c }}.{% endfor %}",
    "{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% if x == 3 %}{% break %}{% endif %}{% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + i %}{{ x }};{% endfor %}{{ x }}",
    "{% set ns = namespace(n=0, s='') %}{% for i in [1, 2, 3] %}{% set ns.n = ns.n + i %}{% set ns.s = ns.s ~ i %}{% endfor %}{{ ns.n }}{{ ns.s }}{{ ns.nothing }}",
    "{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% set c %}in {{ a }}{% endset %}[{{ c }}]{% if c is string %}s{% endif %}",
    "{% if false %}a{% elif 1 > 2 %}b{% elif '' %}c{% else %}d{% endif %}{% if none or [] or 0 or 0.0 or {} %}x{% endif %}",
    "{% macro f(a, b='B', c=a) %}{{ a }}{{ b }}{{ c }}{{ outer }}{{ x }}{% endmacro %}{% set outer = 'O' %}{% for x in [1] %}{{ f(1) }}{{ f('p', c='q') }}{% endfor %}",
    "{% if true %}{% set y = 5 %}{% endif %}{{ y }}{% for i in [1] %}{% set z = 5 %}{% endfor %}{{ z }}",
    "{% for i in [1, 2] %}{% for j in [1, 2] %}{{ loop.index }}{{ i }}{% endfor %}{{ loop.index }};{% endfor %}",
    "{{ {'a': {'b': '}}'}}['a']['b'] }}{{ '%}' }}{% set s = '{% if %}' %}{{ s }}",
    "{% if messages[0].role == 'user' -%}\n   yes\n{%- endif %}\n",
    "\n\n{{ 'x' }}\n\n",
]


def main():
    cases = []
    named = {"chatml": CHATML, "small": SMALL, "tools": TOOLS, "headers": HEADERS, "inst": INST, "turns": TURNS, "macros": MACROS}
    for name, template in named.items():
        for chat, messages in CHATS.items():
            if "content" not in template and messages[-1]["role"] == "assistant":
                continue  # transformers wants the word in the template
            cases.append({"name": f"{name} {chat}", **render(template, messages, {})})
    more = [("tools", TOOLS, [USER, THOUGHT, TOOL, TOOL, ANSWER, AGAIN], {}), ("tools", TOOLS, [SYSTEM, USER], {"enable_thinking": False}),
            ("tools", TOOLS, [USER], {"enable_thinking": True, "tools": [{"name": "f", "x": {"y": [1]}}]}), ("tools", TOOLS, [USER, THOUGHT, TOOL], {}),
            ("headers", HEADERS, [USER], {"date_string": "1 Jan 1970"}), ("headers", HEADERS, [USER, CALL, TOOL], {"custom_tools": [1]}),
            ("headers", HEADERS, [USER, {"role": "tool", "content": {"x": 1}}], {}), ("headers", HEADERS, [USER, {"role": "assistant", "tool_calls": []}, USER], {}),
            ("inst", INST, [USER, USER], {}), ("inst", INST, [SYSTEM, USER], {"tools": [{"name": "f", "return": 1, "p": {"q": 1}}, {"name": "g"}]}),
            ("turns", TURNS, [PARTS], {}), ("turns", TURNS, [USER, USER], {}), ("turns", TURNS, [{"role": "user", "content": None}], {})]
    for name, template, messages, arguments in more:
        cases.append({"name": f"{name} more", **render(template, messages, arguments)})
    for expression in EXPRESSIONS:
        cases.append({"name": expression, **render("{{ " + expression + " }}", CHATS["system"], {})})
    for template in STATEMENTS:
        cases.append({"name": template, **render(template, CHATS["one"], {})})
    (HERE / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    print(len(cases), "cases,", sum("refused" in case for case in cases), "refused")
    for case in cases:
        if "refused" in case:
            print("  ", case["name"], "->", case["refused"])


if __name__ == "__main__":
    main()
