// Templates against what Jinja 3.1.2 makes of them (trim_blocks, lstrip_blocks, loop controls,
// transformers' tojson, raise_exception and strftime_now), and what must be refused.
#include "experts/moe/chat_template.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "experts/moe/jinja_value.h"

namespace moe {
namespace {

struct Case {
  const char* source;
  const char* expected;
};

struct Family {
  const char* name;
  const char* source;
  const char* expected;
};

ChatInput conversation() {
  ChatInput input;
  input.messages = {
      {"system", "S"}, {"user", "U"}, {"assistant", "<think>\nhm\n</think>\n\nA "}, {"user", "V"}};
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  input.now = std::chrono::sys_seconds(std::chrono::seconds(1'753'900'000));
  return input;
}

std::string rendered(const std::string& source) {
  const ChatPrompt prompt = ChatTemplate(source).render(conversation());
  return prompt.ok() ? prompt.text : "error: " + prompt.error;
}

std::string refusal(const std::string& source) {
  try {
    return ChatTemplate(source).render(conversation()).error;
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

TEST(ChatTemplate, RendersAsJinja) {
  const std::vector<Case> cases = {
      {"{{ 1 + 2 * 3 - 4 // 3 % 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }}"
       " {{ 'a' ~ 1 ~ 2 }}",
       "6 -4 2 3.5 a12"},
      {"{{ not true or true and false }} {{ 1 < 2 and 2 >= 2 }} {{ 'b' in 'abc' }}"
       " {{ 3 not in [1, 2] }}",
       "False True True True"},
      {"{{ 'x' if false else 'y' if false else 'z' }}|{{ 'x' if false }}|{{ none }}"
       "|{{ 1.50 }}|{{ true }}",
       "z||None|1.5|True"},
      {"{{ [1, 'a', none, true, {'k': 2.0}] }} {{ (1, 2)[1] }} {{ \"it's\" ~ 'a' 'b' }}"
       " {{ '\u00E9'|length }}",
       "[1, 'a', None, True, {'k': 2.0}] 2 it'sab 1"},
      {"{{ undefined_name }}|{{ messages[9] is defined }}"
       "|{{ messages[0].nothing is defined }}",
       "|False|False"},
      {"{{ 'h\u00E9llo'[1:3] }} {{ [1,2,3,4][::-2] }} {{ [1,2,3][-2:] }} {{ 'abc'[::-1] }}"
       " {{ [1,2,3][:-1] }} {{ 'abc'[-1] }}",
       "\u00E9l [4, 2] [2, 3] cba [1, 2] c"},
      {"{{ '  a b '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ ' a'.lstrip() }}"
       "|{{ 'a</t>b</t>c'.split('</t>')[-1] }}|{{ 'a b  c'.split() }}"
       "|{{ 'a-b-c'.rsplit('-', 1) }}",
       "a b|a|a|c|['a', 'b', 'c']|['a-b', 'c']"},
      {"{{ 'abc'.startswith(('x', 'ab')) }} {{ 'abc'.endswith('bc') }}"
       " {{ 'aXbX'.replace('X', '-', 1) }} {{ ', '.join(['a', 'b']) }}"
       " {{ 'hello world'.title() }} {{ 'hELLO'.capitalize() }} {{ 'abcb'.find('b') }}"
       " {{ 'a{}c'.format(1) }}",
       "True True a-bX a, b Hello World Hello 1 a1c"},
      {"{{ {'a': 1, 'b': 2}.items()|map('join', ':')|list }} {{ {'a': 1}.get('z', 'no') }}"
       " {{ {'a': 1}.get('z') }} {{ {'a': 1}.keys()|list }}",
       "['a:1', 'b:2'] no None ['a']"},
      {"{{ '  a '|trim }}|{{ [1,2]|length }}|{{ ['a','b']|join(', ') }}"
       "|{{ 'Ab'|upper|lower }}|{{ x|default('d') }}|{{ ''|default('e', true) }}"
       "|{{ '12'|int + 1 }}",
       "a|2|a, b|ab|d|e|13"},
      {"{{ {'a': [1, 'q\"\\n'], 'b': none}|tojson }}|{{ {'a': [1], 'b': {}}"
       "|tojson(indent=2) }}",
       "{\"a\": [1, \"q\\\"\\n\"], \"b\": null}|{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}"},
      {"{{ messages|map(attribute='role')|join('/') }}"
       " {{ messages|selectattr('role', 'equalto', 'user')|list|length }}"
       " {{ messages|rejectattr('role', 'equalto', 'user')|map(attribute='content')|list }}"
       " {{ [3,1,2]|sort }} {{ ['b','A']|sort|first }} {{ [1,2]|last }} {{ 'a\nb\n\n"
       "c'|indent(2) }}|{{ {'b':1,'a':2}|dictsort|map('join')|list }}"
       " {{ ['x','y']|map('upper')|list }} {{ [0,1,2]|select|list }}"
       " {{ [1,2,3]|reject('odd')|list }} {{ -3|abs }}",
       "system/user/assistant/user 2 ['S', '<think>\\nhm\\n</think>\\n\\nA '] [1, 2, 3] A "
       "2 a\n  b\n\n  c|['a2', 'b1'] ['X', 'Y'] [1, 2] [2] 3"},
      {"{{ 'a' is string }} {{ 1 is string }} {{ {} is mapping }} {{ [] is iterable }}"
       " {{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ none is none }} {{ 1 is not none }}"
       " {{ 'x' is in ['x'] }} {{ messages is sequence }} {{ true is true }}"
       " {{ 2 is eq 2 }}",
       "True False True True True True True True True True True True"},
      {"a\n  {% if true %}\n  b\n  {%- endif %}\nc\n", "a\n  bc"},
      {"a  {{- 'b' -}}  c\n{#- x -#}\n d\n   {%+ if true %}e{% endif +%}\nf", "abcd\n   e\nf"},
      {"{% for i in [1] %}\n  x\n{% endfor %}\n{{ 'y' }}\nz\n\n", "  x\ny\nz\n"},
      {"{# comment #}\n  {# other #}  text {{ '{{ }}' }} {{ '%}' }} { {% if true %}"
       "%{% endif %}",
       "  text {{ }} %} { %"},
      {"{% for m in messages %}{{ loop.index }}/{{ loop.length }}{{ '!' if loop.first }}"
       "{{ '?' if loop.last }}:{{ m.role }}{% if not loop.first %}<{{ loop.previtem.role }}"
       "{% endif %};{% endfor %}",
       "1/4!:system;2/4:user<system;3/4:assistant<user;4/4?:user<assistant;"},
      {"{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }},{% else %}"
       "none{% endfor %}{% for x in [] %}{% else %}empty{% endfor %}",
       "a=1,b=2,empty"},
      {"{% set a = 1 %}{% for i in [1,2] %}{% set a = i %}{{ a }}{% endfor %}{{ a }}"
       "{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}"
       "{% endfor %}{{ ns.n }}",
       "1213"},
      {"{% for i in range(1, 10) if i % 2 %}{% if i == 7 %}{% break %}{% endif %}"
       "{% if i == 3 %}{% continue %}{% endif %}{{ i }}{{ loop.revindex0 }} {% endfor %}",
       "14 52 "},
      {"{% set x %}in {{ 'side' }}{% endset %}[{{ x }}]{% set p, q = 1, 2 %}{{ p }}{{ q }}"
       "{% if false %}{% elif q == 2 %}two{% else %}no{% endif %}",
       "[in side]12two"},
      {"{% macro f(a, b='d') %}<{{ a }}{{ b }}>{% endmacro %}{{ f(1) }}{{ f(1, b=2) }}"
       "{{ f('x', 'y')|upper }}{% macro g(n) %}{{ n }}{% if n > 0 %}{{ g(n - 1) }}"
       "{% endif %}{% endmacro %}{{ g(2) }}",
       "<1d><12><XY>210"},
      {"{% filter upper %}a{{ 'b' }}{% endfilter %}{{ range(5)|list }}"
       "{{ range(4, 0, -2)|list }}{{ strftime_now('%d %b %Y') }}"
       "{{ strftime_now is defined }}{{ date_string is defined }}",
       "AB[0, 1, 2, 3, 4][4, 2]30 Jul 2025TrueFalse"},
  };
  for (const Case& c : cases) EXPECT_EQ(rendered(c.source), c.expected) << c.source;
}

// The constructs of the families' own templates, in templates of our own.
TEST(ChatTemplate, RendersModelFamilies) {
  const std::vector<Family> families = {
      {"llama-2",
       "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}"
       "{% set sys = messages[0]['content'] %}{% else %}{% set rest = messages %}"
       "{% set sys = false %}{% endif %}{% for m in rest %}"
       "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
       "{{ raise_exception('roles must alternate') }}{% endif %}"
       "{% if loop.index0 == 0 and sys != false %}"
       "{% set c = '<<SYS>>\\n' + sys + '\\n<</SYS>>\\n\\n' + m['content'] %}{% else %}"
       "{% set c = m['content'] %}{% endif %}{% if m['role'] == 'user' %}"
       "{{ bos_token + '[INST] ' + c.strip() + ' [/INST]' }}"
       "{% elif m['role'] == 'assistant' %}{{ ' ' + c.strip() + ' ' + eos_token }}"
       "{% endif %}{% endfor %}",
       "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST] <think>\nhm\n</think>\n\n"
       "A </s><s>[INST] V [/INST]"},
      {"mixtral",
       "{{ bos_token }}{%- set ns = namespace(system='') -%}\n{%- for m in messages %}\n"
       "  {%- if m.role == 'system' -%}\n    {%- set ns.system = m.content + '\\n\\n' -%}\n"
       "  {%- elif m.role == 'user' -%}\n"
       "    {{- '[INST] ' ~ (ns.system if loop.index0 == 1 else '') ~ m.content ~ ' "
       "[/INST]' -}}\n  {%- else -%}\n    {{- ' ' ~ m.content|trim ~ eos_token -}}\n"
       "  {%- endif -%}\n{%- endfor %}",
       "<s>[INST] S\n\nU [/INST] <think>\nhm\n</think>\n\nA</s>[INST] V [/INST]"},
      {"llama-3",
       "{% set ns = namespace(first=true) %}{% for m in messages %}"
       "{% set part = '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + "
       "m['content'] | trim + '<|eot_id|>' %}{% if loop.first %}"
       "{% set part = bos_token + part %}{% endif %}{{ part }}{% endfor %}"
       "{% if add_generation_prompt %}"
       "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
       "<s><|start_header_id|>system<|end_header_id|>\n\n"
       "S<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
       "U<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n<think>\nhm\n</think>\n"
       "\nA<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
       "V<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
      {"qwen2",
       "{%- if tools %}\n    {{- tools | tojson }}\n{%- else %}\n"
       "    {%- if messages[0].role != 'system' %}\n"
       "        {{- '<|im_start|>system\\nDefault.<|im_end|>\\n' }}\n    {%- endif %}\n"
       "{%- endif %}\n{%- for m in messages %}\n"
       "    {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}\n"
       "{%- endfor %}\n{%- if add_generation_prompt %}\n"
       "    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n",
       "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
       "<|im_start|>assistant\n<think>\nhm\n</think>\n\nA <|im_end|>\n<|im_start|>user\n"
       "V<|im_end|>\n<|im_start|>assistant\n"},
      {"qwen3",
       "{%- set ns = namespace(last=messages|length - 1, seek=true) %}\n"
       "{%- for m in messages[::-1] %}\n"
       "    {%- set index = (messages|length - 1) - loop.index0 %}\n"
       "    {%- if ns.seek and m.role == 'user' and m.content is string and "
       "not(m.content.startswith('<tool>') and m.content.endswith('</tool>')) %}\n"
       "        {%- set ns.seek = false %}\n        {%- set ns.last = index %}\n"
       "    {%- endif %}\n{%- endfor %}\n{%- for m in messages %}\n"
       "    {%- set content = m.content %}\n    {%- if m.role == 'assistant' %}\n"
       "        {%- set thought = '' %}\n        {%- if m.thought is string %}"
       "{%- set thought = m.thought %}\n        {%- elif '</think>' in content %}\n"
       "            {%- set thought = "
       "content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}\n"
       "            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}\n"
       "        {%- endif %}\n"
       "        {%- if loop.index0 > ns.last and (loop.last or thought) %}\n"
       "            {{- '<|im_start|>' + m.role + '\\n<think>\\n' + thought.strip('\\n') + "
       "'\\n</think>\\n\\n' + content }}\n        {%- else %}\n"
       "            {{- '<|im_start|>' + m.role + '\\n' + content }}\n        {%- endif %}"
       "\n        {{- '<|im_end|>\\n' }}\n    {%- else %}\n"
       "        {{- '<|im_start|>' + m.role + '\\n' + content + '<|im_end|>\\n' }}\n"
       "    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n"
       "    {{- '<|im_start|>assistant\\n' }}\n"
       "    {%- if enable_thinking is defined and enable_thinking is false %}\n"
       "        {{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}",
       "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
       "<|im_start|>assistant\nA <|im_end|>\n<|im_start|>user\nV<|im_end|>\n"
       "<|im_start|>assistant\n"},
      {"deepseek",
       "{% if not add_generation_prompt is defined %}"
       "{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}"
       "{% for m in messages %}{% if m['role'] == 'user' %}"
       "{{ 'User: ' + m['content'] + '\\n\\n' }}{% elif m['role'] == 'assistant' %}"
       "{{ 'Assistant: ' + m['content'] + eos_token }}{% elif m['role'] == 'system' %}"
       "{{ m['content'] + '\\n\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}"
       "{{ 'Assistant:' }}{% endif %}",
       "<s>S\n\nUser: U\n\nAssistant: <think>\nhm\n</think>\n\nA </s>User: V\n\nAssistant:"},
      {"olmoe",
       "{{ bos_token }}{% for m in messages %}\n{% if m['role'] == 'system' %}\n"
       "{{ '<|system|>\n' + m['content'] }}\n{% elif m['role'] == 'user' %}\n{{ '<|user|>\n"
       "' + m['content'] }}\n{% elif m['role'] == 'assistant' %}\n{{ '<|assistant|>\n"
       "'  + m['content'] + eos_token }}\n{% endif %}\n"
       "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n"
       "{% endfor %}",
       "<s><|system|>\nS\n<|user|>\nU\n<|assistant|>\n<think>\nhm\n</think>\n\nA </s>\n"
       "<|user|>\nV\n<|assistant|>\n"},
      {"phi-3",
       "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}"
       "{% endfor %}{{ '<|assistant|>\\n' if add_generation_prompt else eos_token }}",
       "<|system|>\nS<|end|>\n<|user|>\nU<|end|>\n<|assistant|>\n<think>\nhm\n</think>\n\n"
       "A <|end|>\n<|user|>\nV<|end|>\n<|assistant|>\n"},
  };
  for (const Family& f : families) EXPECT_EQ(rendered(f.source), f.expected) << f.name;
}

TEST(ChatTemplate, SwitchesAndNoGenerationPrompt) {
  const ChatTemplate t(
      "{% if add_generation_prompt %}A{% endif %}"
      "{% if enable_thinking is defined and not enable_thinking %}off{% endif %}");
  ChatInput input = conversation();
  EXPECT_EQ(t.render(input).text, "A");
  input.add_generation_prompt = false;
  input.switches = {{"enable_thinking", false}};
  EXPECT_EQ(t.render(input).text, "off");
}

TEST(ChatTemplate, RefusalsNameTheConstructAndTheLine) {
  const std::vector<Case> cases = {
      {"a\n{% include 'x' %}", "line 2: the tag \"include\" is not supported"},
      {"{{ 'a'|rot13 }}", "line 1: the filter \"rot13\" is not supported"},
      {"\n\n{{ 'a' is prime }}", "line 3: the test \"prime\" is not supported"},
      {"{{ 'a'.swapcase() }}", "line 1: the method \"swapcase\" of a text is not supported"},
      {"{{ lipsum() }}", "line 1: the function \"lipsum\" is not supported"},
      {"{{ messages.append(1) }}", "line 1: the method \"append\" of a list is not supported"},
      {"{{ 1 < 2 < 3 }}", "a chain of comparisons is not supported"},
      {"{{ nothing.role }}", "line 1: \"nothing\" is undefined"},
      {"{{ 'a' + 1 }}", "line 1: \"+\" of a text and an integer"},
      {"{% if true %}\n{{ 1 }}", "the template ends before \"endif\""},
      {"x{% endfor %}", "the tag \"endfor\" closes nothing"},
      {"{{ 'open }}", "line 1: a string without its end"},
      {"{{ 1 ", "line 1: a tag without its end"},
      {"{{ 1 + }}", "where a value is expected"},
      {"{{ messages[0 }}", "a tag without its end"},
      {"{{ messages 0 }}", "is expected"},
      {"{# open", "a comment without its end"}};
  for (const Case& c : cases) {
    EXPECT_NE(refusal(c.source).find(c.expected), std::string::npos)
        << c.source << " gives " << refusal(c.source);
  }
}

TEST(ChatTemplate, TellsTheTemplatesOwnRefusalFromOurs) {
  const ChatTemplate picky("{{ raise_exception('only user messages, please') }}");
  const ChatPrompt prompt = picky.render(conversation());
  EXPECT_TRUE(prompt.refused);
  EXPECT_EQ(prompt.error, "only user messages, please");
  EXPECT_FALSE(ChatTemplate("{{ 'a'|rot13 }}").render(conversation()).refused);
}

TEST(ChatTemplate, WorkAndSizeAreBounded) {
  const std::string loop = "{% for i in range(1000) %}";
  EXPECT_NE(refusal(loop + loop + loop + "{% endfor %}{% endfor %}{% endfor %}").find("too"),
            std::string::npos);
  EXPECT_NE(refusal("{% set ns = namespace(t='aaaaaaaa') %}{% for i in range(99) %}"
                    "{% set ns.t = ns.t ~ ns.t %}{% endfor %}"),
            "");
  EXPECT_NE(refusal("{% set ns = namespace(l=[1]) %}{% for i in range(60) %}"
                    "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}"),
            "");
  EXPECT_NE(refusal("{% set ns = namespace(l=1) %}{% set ns.l = ns %}{{ ns }}"), "");
  EXPECT_NE(refusal("{% set a = namespace() %}{% set a.x = a %}{% set b = namespace() %}"
                    "{% set b.x = b %}{{ a == b }}"),
            "");
  EXPECT_NE(refusal("{% macro f() %}{{ f() }}{% endmacro %}{% for i in [1] %}{{ f() }}{% endfor %}")
                .find("too deep"),
            std::string::npos);
  EXPECT_NE(refusal("{{ " + std::string(100'000, '(') + "1"), "");
  EXPECT_NE(refusal("{{ 1" + std::string(100'000, '+') + "1 }}"), "");
  std::string chain = "{{ 1";
  for (int i = 0; i < 5000; ++i) chain += " + 1";
  EXPECT_NE(refusal(chain + " }}").find("too many operators"), std::string::npos);
  EXPECT_NE(refusal("{{ 'a' * 99999999999 }}"), "");
}

}  // namespace
}  // namespace moe
