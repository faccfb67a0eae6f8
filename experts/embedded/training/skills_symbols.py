"""Skills about symbols: the calendar, lists, strings, logic."""

from tasks import kind

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")
LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def on_circle(names, i, move):
    """Working and name of `move` steps from names[i], less than a round: the first one counts as 1."""
    size, place = len(names), i + 1 + move
    working = f"{i + 1}{move:+d}={place}"
    if not 1 <= place <= size:
        working += f" {place}-{size}={place - size}" if place > size else f" {place}+{size}={place + size}"
    return working, names[(place - 1) % size]


@kind("calendar", ["What day of the week is {n} days {way} {day}?", "Which weekday is {n} days {way} {day}?",
                   "{n} days {way} {day} is which day?", "What day is {n} days {way} {day}?",
                   "What weekday is {n} days {way} {day}?", "What day is it {n} days {way} {day}?"],
      ["Which day of the week is {n} days {way} {day}?", "What weekday is it {n} days {way} {day}?"],
      ranged=False)
def weekday(rng, _):
    n, i, after = rng.randint(2, 7), rng.randrange(7), rng.random() < 0.6
    return (dict(n=n, day=DAYS[i], way="after" if after else "before"), *on_circle(DAYS, i, n if after else -n))


@kind("calendar", ["Which month is {n} months {way} {month}?", "What month is {n} months {way} {month}?",
                   "{n} months {way} {month} is which month?", "Which month is it {n} months {way} {month}?",
                   "Tell me what month is {n} months {way} {month}."],
      ["What month is it {n} months {way} {month}?", "Tell me which month is {n} months {way} {month}."],
      ranged=False)
def month(rng, _):
    n, i, after = rng.randint(2, 11), rng.randrange(12), rng.random() < 0.6
    return (dict(n=n, month=MONTHS[i], way="after" if after else "before"),
            *on_circle(MONTHS, i, n if after else -n))


@kind("calendar", ["What time is {n} minutes after {h}:{m:02d}?", "It is {h}:{m:02d}. What time is it in {n} minutes?",
                   "{n} minutes after {h}:{m:02d} is what time?", "What is the time {n} minutes after {h}:{m:02d}?",
                   "It is {h}:{m:02d}. What is the time {n} minutes after that?"],
      ["It is {h}:{m:02d}. What time is {n} minutes after that?", "What time is it {n} minutes after {h}:{m:02d}?"])
def clock(rng, number):
    h, m, n = rng.randint(1, 11), rng.randrange(0, 60, 5), number(5, 59)
    total = m + n
    working = f"{m}+{n}={total}" + (f" {total}-60={total - 60} {h}+1={h + 1}" if total >= 60 else "")
    return dict(h=h, m=m, n=n), working, f"{h + total // 60}:{total % 60:02d}"


@kind("calendar", ["Is {y} a leap year?", "Was {y} a leap year?", "Is the year {y} a leap year?"],
      ["Was the year {y} a leap year?"], ranged=False)
def leap(rng, _):
    y = rng.randint(1901, 2099)
    leaps = y % 4 == 0
    return dict(y=y), f"{y % 100:02d} mod 4 is {y % 100 % 4}", "yes" if leaps else "no"


@kind("calendar", ["How many days does {month} have?", "How many days are in {month}?", "Days in {month}?",
                   "What is the number of days in {month}?"],
      ["How many days are there in {month}?"], ranged=False)
def month_length(rng, _):
    i = rng.choice((0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11))
    return dict(month=MONTHS[i]), "", LENGTHS[i]


def shown(values):
    """A list as questions and answers write it."""
    return "[" + ", ".join(map(str, values)) + "]"


def named(rng, values):
    """A list with or without what it is in front, so that phrasings with either are understood."""
    return rng.choice(("", "", "the list ", "the numbers ")) + shown(values)


def some_numbers(rng, number, low=3, high=4):
    """Distinct numbers from 1 to 99."""
    values = []
    for _ in range(rng.randint(low, high)):
        n = number(1, 99)
        if n not in values:
            values.append(n)
    return values


@kind("lists", ["Sort {l} from smallest to largest.", "Sort the list {s}.", "Put {l} in ascending order.",
                "Sort these numbers: {s}.", "Order {l} from smallest to largest."],
      ["Sort the numbers {s} in ascending order.", "Put the list {s} in order from smallest to largest."])
def ascending(rng, number):
    values = some_numbers(rng, number, high=4 if rng.random() < 0.3 else 3)
    return dict(s=shown(values), l=named(rng, values)), "", shown(sorted(values))


@kind("lists", ["Sort {l} from largest to smallest.", "Put {l} in descending order.",
                "Order {l} from largest to smallest.", "Sort the list {s} in descending order."],
      ["Sort the numbers {s} from largest to smallest.", "Put the list {s} in descending order."])
def descending(rng, number):
    values = some_numbers(rng, number, high=4 if rng.random() < 0.3 else 3)
    return dict(s=shown(values), l=named(rng, values)), "", shown(sorted(values, reverse=True))


@kind("lists", ["Reverse {l}.", "Write {l} in reverse order.", "What is {l} reversed?",
                "Give {l} backwards."],
      ["Write the list {s} backwards.", "What is the list {s} in reverse order?"])
def reverse_list(rng, number):
    values = some_numbers(rng, number)
    return dict(s=shown(values), l=named(rng, values)), "", shown(reversed(values))


@kind("lists", ["What is the {w} number in {l}?", "Find the {w} number in {l}.", "Which number in {l} is the {w}?",
                "What is the {w} of {l}?", "Find the {w} of {l}."],
      ["Which is the {w} number in the list {s}?", "Which is the {w} of the numbers {s}?"])
def extreme(rng, number):
    values = some_numbers(rng, number)
    largest = rng.random() < 0.5
    return (dict(s=shown(values), l=named(rng, values), w="largest" if largest else "smallest"), "",
            max(values) if largest else min(values))


ORDINALS = ("first", "second", "third", "fourth", "fifth")


@kind("lists", ["What is the {w} element of {l}?", "Which number is {w} in {l}?", "Give the {w} item of {l}.",
                "Take the {w} number from {l}.", "Give the {w} element of {l}."],
      ["What is the {w} number in the list {s}?", "Which is the {w} element of the list {s}?"])
def element(rng, number):
    values = some_numbers(rng, number)
    i = rng.choice((*range(len(values)), -1))
    return dict(s=shown(values), l=named(rng, values), w="last" if i < 0 else ORDINALS[i]), "", values[i]


@kind("lists", ["How many numbers are in {l}?", "How long is {l}?", "Count the elements in {l}.",
                "What is the length of {l}?", "How many elements are in {l}?"],
      ["How many elements does the list {s} have?", "Count how many numbers are in the list {s}."])
def list_length(rng, number):
    values = some_numbers(rng, number, 2, 5)
    return dict(s=shown(values), l=named(rng, values)), "", len(values)


# Strings that begin with these letters are the strings' held-out range.
HELD_LETTERS = "KW"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def some_string(rng, number, low=3, high=5):
    """Capital letters, so that the tokenizer, which joins none of them, shows each to the model."""
    first = [c for c in LETTERS if (c in HELD_LETTERS) == number.wants_held]
    return rng.choice(first) + "".join(rng.choice(LETTERS) for _ in range(rng.randint(low, high) - 1))


def called(rng, s):
    """A string with or without what it is in front."""
    return rng.choice(("", "", "the string ", "the word ")) + s


@kind("strings", ["What is {l} backwards?", "Write {l} backwards.", "Reverse {l}.", "Spell {l} in reverse.",
                  "What is {l} in reverse?", "Give {l} reversed."],
      ["What is the string {s} reversed?", "What do you get when you reverse {s}?"], cased=True)
def reverse_string(rng, number):
    s = some_string(rng, number)
    return dict(s=s, l=called(rng, s)), "", s[::-1]


@kind("strings", ["What is the {w} letter of {l}?", "Which letter is {w} in {l}?", "Give the {w} letter of {l}.",
                  "What is the {w} letter in {l}?"],
      ["Find the {w} letter in the string {s}.", "Which is the {w} letter of {s}?"], cased=True)
def letter_at(rng, number):
    s = some_string(rng, number)
    i = rng.choice((*range(min(len(s), 5)), -1))
    return dict(s=s, l=called(rng, s), w="last" if i < 0 else ORDINALS[i]), "", s[i]


@kind("strings", ["How many letters are in {l}?", "How long is {l}?", "Count the letters in {l}.",
                  "What is the length of {l}?"],
      ["How many letters does the string {s} have?", "Count how many letters are in {s}."], cased=True)
def string_length(rng, number):
    s = some_string(rng, number, 3, 7)
    return dict(s=s, l=called(rng, s)), " ".join(f"{x}:{i}" for i, x in enumerate(s, 1)), len(s)


@kind("strings", ["Join {a} and {b}.", "Concatenate {a} and {b}.", "What is {a} followed by {b}?",
                  "Put {a} and {b} together.", "Join the words {a} and {b}.", "What is the word {a} followed by {b}?"],
      ["Join the strings {a} and {b}.", "What is the string {a} followed by {b}?"], cased=True)
def join(rng, number):
    a, b = some_string(rng, number, 2, 4), some_string(rng, number, 2, 4)
    return dict(a=a, b=b), "", a + b


def truth(value):
    """How questions and replies write a truth value."""
    return "true" if value else "false"


@kind("logic", ["What is {e}?", "Evaluate {e}.", "{e} = ?", "Is {e} true or false?", "Evaluate the expression {e}."],
      ["What is the value of {e}?", "Is the expression {e} true or false?"], ranged=False)
def expression(rng, _):
    a, b, c = (rng.random() < 0.5 for _ in range(3))
    negated = rng.random() < 0.4
    inner, outer = rng.choice(("and", "or")), rng.choice(("and", "or"))
    left = (a and b) if inner == "and" else (a or b)
    right = (not c) if negated else c
    result = (left and right) if outer == "and" else (left or right)
    text = f"({truth(a)} {inner} {truth(b)}) {outer} " + ("not " if negated else "") + truth(c)
    working = f"{truth(a)} {inner} {truth(b)} is {truth(left)}."
    working += f" not {truth(c)} is {truth(right)}." if negated else ""
    return dict(e=text), working + f" {truth(left)} {outer} {truth(right)} is {truth(result)}.", truth(result)


@kind("logic", ["If p is {p} and q is {q}, what is {e}?", "p is {p}, q is {q}. What is {e}?",
                "Let p be {p} and q be {q}. Is {e} true or false?"],
      ["p is {p} and q is {q}. Is {e} true or false?", "Let p be {p} and let q be {q}. What is {e}?"], ranged=False)
def variables(rng, _):
    p, q, nq = rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.4
    op = rng.choice(("and", "or", "xor"))
    right = q != nq
    result = {"and": p and right, "or": p or right, "xor": p != right}[op]
    working = f"not {truth(q)} is {truth(right)}. " if nq else ""
    return (dict(p=truth(p), q=truth(q), e=f"p {op} " + ("not q" if nq else "q")),
            working + f"{truth(p)} {op} {truth(right)} is {truth(result)}.", truth(result))


GROUPS = ("cats", "birds", "roses", "robots", "pilots", "kings", "trees", "fish", "poets", "cooks")
TRAITS = ("kind", "blue", "loud", "old", "small", "brave", "green", "quick")


@kind("logic", ["{all} {g} are {t}. {x} is one of the {g}. Is {x} {t}?",
                "{x} is one of the {g}. {all} {g} are {t}. Is {x} {t}?",
                "If {all} {g} are {t} and {x} is one of the {g}, is {x} {t}?"],
      ["{x} is one of the {g}. If {all} {g} are {t}, is {x} {t}?"], ranged=False)
def syllogism(rng, _):
    every = rng.random() < 0.5
    slots = dict(all="all" if every else "no", g=rng.choice(GROUPS), t=rng.choice(TRAITS),
                 x=rng.choice(("Anna", "Ben", "Clara", "David", "Emma", "Felix")))
    return slots, "", "yes" if every else "no"
