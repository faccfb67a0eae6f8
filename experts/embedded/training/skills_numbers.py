"""Skills about numbers: arithmetic, equations, fractions, units, bases, sequences, word problems."""

from math import gcd

from tasks import kind


def digits(n, count):
    """The decimal digits of n from the right, padded with zeros."""
    return [n // 10 ** i % 10 for i in range(count)]


def add_columns(a, b):
    """Column by column from the right with the carry: the working a network can copy and look up."""
    count = max(len(str(a)), len(str(b)))
    carry, parts = 0, []
    for x, y in zip(digits(a, count), digits(b, count)):
        total = x + y + carry
        parts.append(f"{x}+{y}" + ("+1" if carry else "") + f"={total}")
        carry = total // 10
    return " ".join(parts)


def subtract_columns(a, b):
    """a - b for a >= b, column by column with the borrow."""
    count = len(str(a))
    borrow, parts = 0, []
    for x, y in zip(digits(a, count), digits(b, count)):
        left = x - y - borrow
        part = f"{x}-{y}" + ("-1" if borrow else "")
        borrow = int(left < 0)
        parts.append(part + ("+10" if borrow else "") + f"={left % 10}")
    return " ".join(parts)


def multiply_columns(a, b):
    """a times one digit b, column by column with the carry."""
    carry, parts = 0, []
    for x in digits(a, len(str(a))):
        total = x * b + carry
        parts.append(f"{x}*{b}" + (f"+{carry}" if carry else "") + f"={total}")
        carry = total // 10
    return " ".join(parts)


def compare_columns(a, b):
    """From the left until two digits differ, the shorter number padded with zeros."""
    count, parts = max(len(str(a)), len(str(b))), []
    for x, y in zip(f"{a:0{count}}", f"{b:0{count}}"):
        parts.append(f"{x}={y}" if x == y else f"{x}>{y}" if x > y else f"{x}<{y}")
        if x != y:
            break
    return " ".join(parts)


def tenths(n):
    """n tenths as a decimal number with one place."""
    return f"{n // 10}.{n % 10}"


def operand(rng, number):
    """Two- and three-digit numbers, the longer ones more often."""
    return number(100, 999) if rng.random() < 0.7 else number(10, 99)


@kind("arithmetic", ["What is {a} + {b}?", "{a} + {b} = ?", "{a}+{b}", "Calculate {a} + {b}.", "Add {a} and {b}.",
                     "What is the sum of {a} and {b}?", "How much is {a} plus {b}?", "Compute {a} plus {b}.",
                     "Work out {a} + {b}."],
      ["What do you get when you add {a} and {b}?", "How much is {a} + {b}?", "Find the sum of {a} and {b}."])
def addition(rng, number):
    a, b = operand(rng, number), operand(rng, number)
    return dict(a=a, b=b), add_columns(a, b), a + b


@kind("arithmetic", ["What is {a} - {b}?", "{a} - {b} = ?", "{a}-{b}", "Calculate {a} - {b}.",
                     "Subtract {b} from {a}.", "How much is {a} minus {b}?", "Take {b} away from {a}.",
                     "What is the difference of {a} and {b}?", "Compute {a} minus {b}."],
      ["What do you get when you take {b} away from {a}?", "How much is {a} - {b}?", "Work out {a} minus {b}."])
def subtraction(rng, number):
    a, b = sorted((operand(rng, number), operand(rng, number)), reverse=True)
    return dict(a=a, b=b), subtract_columns(a, b), a - b


@kind("arithmetic", ["What is {a} * {b}?", "{a} * {b} = ?", "{a}*{b}", "Calculate {a} * {b}.",
                     "Multiply {a} by {b}.", "What is {a} times {b}?", "How much is {a} times {b}?",
                     "What is the product of {a} and {b}?", "What is {a} x {b}?"],
      ["What do you get when you multiply {a} by {b}?", "Calculate {a} times {b}.", "Find the product of {a} and {b}."])
def multiplication(rng, number):
    a, b = number(11, 99), rng.randint(2, 9)
    return dict(a=a, b=b), multiply_columns(a, b), a * b


@kind("arithmetic", ["What is {a} {op} {b}?", "{a} {op} {b} = ?", "Calculate {a} {op} {b}.", "Compute {a} {word} {b}.",
                     "How much is {a} {word} {b}?", "What is {a} {word} {b}?"],
      ["How much is {a} {op} {b}?", "Work out {a} {word} {b}."])
def decimals(rng, number):
    a, b = number(11, 99), number(11, 99)
    if rng.random() < 0.5:
        return (dict(a=tenths(a), b=tenths(b), op="+", word="plus"), add_columns(a, b), tenths(a + b))
    a, b = max(a, b), min(a, b)
    return (dict(a=tenths(a), b=tenths(b), op="-", word="minus"), subtract_columns(a, b), tenths(a - b))


def borrowing(rng, number):
    """Subtraction whose last column borrows."""
    while True:
        slots, working, answer = subtraction(rng, number)
        if slots["a"] % 10 < slots["b"] % 10:
            return slots, working, answer


kind("arithmetic", ["Give {a} + {b}.", "{a} and {b} together make what?", "Put {a} and {b} together.",
                    "Total of {a} and {b}?"], (), drill=True)(addition)
kind("arithmetic", ["Give {a} - {b}.", "{a} less {b} is what?", "From {a}, remove {b}.",
                    "What remains of {a} after {b} is removed?", "Count {b} back from {a}."], (), drill=True)(subtraction)
kind("arithmetic", ["What is {a} - {b}?", "{a} - {b} = ?", "{a}-{b}", "Take {b} away from {a}.",
                    "What is the difference of {a} and {b}?"], (), drill=True)(borrowing)
kind("arithmetic", ["Give {a} * {b}.", "{a} taken {b} times is what?", "{b} rows of {a} make what number?",
                    "Multiply: {a}, {b}"], (), drill=True)(multiplication)


SOLVE = ["Solve {e} for {v}.", "Solve {e}.", "If {e}, what is {v}?", "What is {v} if {e}?", "Find {v}: {e}",
         "{e}. What is {v}?", "Solve the equation {e}.", "{e}, {v} = ?"]
SOLVE_HELD = ["Solve the equation {e} for {v}.", "Find {v} if {e}.", "What is the value of {v} when {e}?"]


def letter(rng):
    """A name for the unknown."""
    return rng.choice("xyznk")


@kind("equations", SOLVE, SOLVE_HELD)
def linear(rng, number):
    a, x, b, v = rng.randint(2, 9), rng.randint(1, 12), number(1, 30), letter(rng)
    if rng.random() < 0.5 or a * x <= b:
        c = a * x + b
        return (dict(e=f"{a}{v} + {b} = {c}", v=v),
                f"{a}{v}={c}-{b} {subtract_columns(c, b)} {a}{v}={a * x} {v}={a * x}/{a}={x}", x)
    c = a * x - b
    return (dict(e=f"{a}{v} - {b} = {c}", v=v),
            f"{a}{v}={c}+{b} {add_columns(c, b)} {a}{v}={a * x} {v}={a * x}/{a}={x}", x)


@kind("equations", SOLVE, SOLVE_HELD)
def shift(rng, number):
    x, b, v = number(1, 50), number(2, 49), letter(rng)
    if rng.random() < 0.5:
        c = x + b
        return dict(e=f"{v} + {b} = {c}", v=v), f"{v}={c}-{b} {subtract_columns(c, b)}", x
    x, b = max(x, b), min(x, b)
    c = x - b
    return dict(e=f"{v} - {b} = {c}", v=v), f"{v}={c}+{b} {add_columns(c, b)}", x


@kind("equations", SOLVE, SOLVE_HELD, ranged=False)
def divided(rng, _):
    a, c, v = rng.randint(2, 9), rng.randint(2, 12), letter(rng)
    return dict(e=f"{v}/{a} = {c}", v=v), f"{v}={c}*{a}={a * c}", a * c


@kind("fractions", ["What is {p}% of {n}?", "Calculate {p}% of {n}.", "{p}% of {n} = ?", "How much is {p}% of {n}?",
                    "What is {p} percent of {n}?", "Find {p} percent of {n}."],
      ["How much is {p} percent of {n}?", "Find {p}% of {n}.", "Calculate {p} percent of {n}."], ranged=False)
def percent(rng, _):
    p, tens = rng.choice((10, 20, 30, 40, 50, 60, 70, 80, 90)), rng.randint(2, 60)
    return dict(p=p, n=tens * 10), f"10% is {tens} {multiply_columns(tens, p // 10)}", tens * p // 10


@kind("fractions", ["What is {a}/{b} of {n}?", "Calculate {a}/{b} of {n}.", "{a}/{b} of {n} = ?",
                    "How much is {a}/{b} of {n}?"],
      ["Find {a}/{b} of {n}.", "Please calculate {a}/{b} of {n}."], ranged=False)
def part(rng, _):
    b, k = rng.randint(3, 9), rng.randint(2, 12)
    a = rng.randint(1, b - 1)
    return dict(a=a, b=b, n=b * k), f"{b * k}/{b}={k} {k}*{a}={k * a}", k * a


@kind("fractions", ["Simplify {a}/{b}.", "What is {a}/{b} in lowest terms?", "Reduce {a}/{b}.",
                    "Write {a}/{b} in lowest terms.", "Simplify the fraction {a}/{b}."],
      ["Reduce the fraction {a}/{b}.", "What is the fraction {a}/{b} in lowest terms?"], ranged=False)
def simplify(rng, _):
    while True:
        p, q, k = rng.randint(1, 8), rng.randint(2, 9), rng.randint(2, 9)
        if p < q and gcd(p, q) == 1:
            return dict(a=p * k, b=q * k), f"{p * k}/{k}={p} {q * k}/{k}={q}", f"{p}/{q}"


@kind("fractions", ["What is {a}/{n} + {b}/{n}?", "Add {a}/{n} and {b}/{n}.", "{a}/{n} + {b}/{n} = ?",
                    "Calculate {a}/{n} + {b}/{n}."],
      ["How much is {a}/{n} + {b}/{n}?", "What is the sum of {a}/{n} and {b}/{n}?"], ranged=False)
def add_fractions(rng, _):
    n = rng.choice((3, 5, 7, 11, 13))
    a, b = rng.randint(1, n - 1), rng.randint(1, n - 1)
    if a + b == n:
        b = b - 1 or a + 1
    return dict(a=a, b=b, n=n), f"{a}+{b}={a + b}", f"{a + b}/{n}"


# (big unit, small unit, small units in a big one)
UNITS = (("hours", "minutes", 60), ("minutes", "seconds", 60), ("days", "hours", 24), ("weeks", "days", 7),
         ("years", "months", 12), ("feet", "inches", 12), ("yards", "feet", 3), ("gallons", "quarts", 4),
         ("pounds", "ounces", 16), ("meters", "centimeters", 100), ("kilometers", "meters", 1000),
         ("kilograms", "grams", 1000), ("liters", "milliliters", 1000), ("dozens", "pieces", 12))
CONVERT = ["How many {to} are in {n} {of}?", "Convert {n} {of} to {to}.", "{n} {of} in {to}?",
           "How many {to} are {n} {of}?", "What is {n} {of} in {to}?", "Change {n} {of} to {to}."]
CONVERT_HELD = ["{n} {of} is how many {to}?", "Change {n} {of} into {to}.", "What are {n} {of} in {to}?"]


def times(n, factor):
    """Working for n times a unit's factor: powers of ten as zeros, tables digit by digit."""
    if factor % 100 == 0:
        return f"{n}*{factor}={n * factor}"
    if factor % 10 == 0:
        return f"{multiply_columns(n, factor // 10)} {n}*{factor}={n * factor}"
    if factor < 10:
        return multiply_columns(n, factor)
    return f"{n}*10={n * 10} {n}*{factor - 10}={n * (factor - 10)} {add_columns(n * 10, n * (factor - 10))}"


@kind("units", CONVERT, CONVERT_HELD)
def to_small(rng, number):
    big, small, factor = rng.choice(UNITS)
    n = number(2, 30)
    return dict(n=n, of=big, to=small), f"1 is {factor} {times(n, factor)}", n * factor


@kind("units", CONVERT, CONVERT_HELD)
def to_big(rng, number):
    big, small, factor = rng.choice(UNITS)
    n = number(2, 12)
    return dict(n=n * factor, of=small, to=big), f"1 is {factor} {n * factor}/{factor}", n


COINS = ("coins", "shells", "crowns", "marks", "gems", "beads")


@kind("units", ["If 1 {one} is worth {r} {y}, how many {y} are {n} {x}?",
                "1 {one} is {r} {y}. How many {y} are {n} {x}?",
                "The rate is {r} {y} for 1 {one}. Convert {n} {x} to {y}.",
                "One {one} is worth {r} {y}. What is {n} {x} in {y}?"],
      ["If 1 {one} is {r} {y}, what is {n} {x} in {y}?", "1 {one} is worth {r} {y}. Change {n} {x} to {y}."])
def exchange(rng, number):
    x, y = rng.sample(COINS, 2)
    r, n = rng.randint(2, 9), number(2, 40)
    return dict(x=x, one=x[:-1], y=y, r=r, n=n), multiply_columns(n, r), n * r


@kind("bases", ["What is {n} in binary?", "Convert {n} to binary.", "Write {n} in binary.", "{n} in binary?",
                "Write the number {n} in base 2."],
      ["Convert the number {n} to binary.", "What is {n} in base 2?"])
def to_binary(rng, number):
    n = number(3, 99)
    parts, left = [], n
    while left > 0:
        parts.append(f"{left}/2={left // 2} {left % 2}")
        left //= 2
    return dict(n=n), " ".join(parts), f"{n:b}"


@kind("bases", ["What is binary {n} in decimal?", "Convert {n} from binary to decimal.",
                "Convert the binary number {n} to decimal.", "Write binary {n} in decimal."],
      ["What is the binary number {n} in decimal?", "Convert binary {n} to decimal."])
def from_binary(rng, number):
    n = number(3, 99)
    steps, value = [], 0
    for bit in f"{n:b}":
        value = value * 2 + int(bit)
        steps.append(f"{bit}:{value}")
    return dict(n=f"{n:b}"), " ".join(steps), n


@kind("bases", ["What is {a} mod {m}?", "{a} mod {m} = ?", "Calculate {a} mod {m}.",
                "What is the remainder of {a} divided by {m}?", "Find the remainder when {a} is divided by {m}."],
      ["What is the remainder when {a} is divided by {m}?", "Find {a} mod {m}.", "Compute {a} mod {m}."])
def modulo(rng, number):
    a, m = number(10, 49), rng.randint(2, 6)
    return dict(a=a, m=m), f"{m}*{a // m}={a - a % m} {a}-{a - a % m}={a % m}", a % m


@kind("sequences", ["What comes next: {s}?", "{s}, ?", "Continue the sequence: {s}.",
                    "What is the next number: {s}?", "Find the next number: {s}, ..."],
      ["What is the next number in the sequence {s}?", "What number comes next: {s}?"])
def next_term(rng, number):
    start = number(1, 60)
    if rng.random() < 0.7:
        step = rng.randint(2, 12)
        terms = [start + step * i for i in range(5)]
        working = f"{terms[1]}-{terms[0]}={step} {terms[3]}+{step}={terms[4]}"
    else:
        start = rng.randint(1, 9)
        terms = [start * 2 ** i for i in range(5)]
        working = f"{terms[1]}/{terms[0]}=2 {terms[3]}*2={terms[4]}"
    return dict(s=", ".join(map(str, terms[:4]))), working, terms[4]


@kind("sequences", ["Which is {word}, {a} or {b}?", "Which number is {word}: {a} or {b}?",
                    "What is {word}, {a} or {b}?", "Is {a} or {b} {word}?"],
      ["Which of the numbers {a} and {b} is {word}?", "Tell me which is {word}, {a} or {b}."])
def compare(rng, number):
    a = number(100, 999)
    b = rng.choice((a + rng.randint(-9, 9), number(10, 999), number(100, 999)))
    if b == a:
        b += 1
    if rng.random() < 0.4:
        a, b = a / 100, b / 100
    larger = rng.random() < 0.5
    return (dict(a=a, b=b, word=rng.choice(("larger", "bigger", "greater")) if larger else "smaller"), "",
            max(a, b) if larger else min(a, b))


kind("sequences", ["Of {a} and {b}, which is {word}?", "{a} or {b}: which one is {word}?",
                   "Compare {a} and {b}: which is {word}?", "Pick the {word} number: {a}, {b}",
                   "Name the {word} one of {a} and {b}.", "Here are {a} and {b}. Which is {word}?",
                   "Which one is {word}: {a} or {b}?"], (), drill=True)(compare)


@kind("tracing", ["x = {a}\ny = x + {b}\nx = y * {c}\nWhat is x?", "x = {a}\ny = x + {b}\nx = y * {c}\nprint(x)",
                  "x = {a}; y = x + {b}; x = y * {c}. What is x?",
                  "Set x to {a}. Set y to x + {b}. Set x to y * {c}. What is x?",
                  "x = {a}\ny = x + {b}\nx = y * {c}\nWhat is the value of x now?",
                  "x is {a}. y is x + {b}. x becomes y * {c}. What is x?"],
      ["x = {a}\ny = x + {b}\nx = y * {c}\nWhat is the value of x?",
       "What is x after this? x = {a}; y = x + {b}; x = y * {c}."], cased=True)
def assignments(rng, number):
    a, b, c = number(1, 30), rng.randint(1, 9), rng.randint(2, 5)
    working = f"x={a} y={a}+{b} {add_columns(a, b)} x={a + b}*{c} {multiply_columns(a + b, c)}"
    return dict(a=a, b=b, c=c), working, (a + b) * c


@kind("tracing", ["x = {a}\nfor i in range({n}):\n    x = x + {b}\nWhat is x?",
                  "x = {a}\nfor i in range({n}):\n    x += {b}\nprint(x)",
                  "Start with {a}. Add {b} {n} times. What is the result?",
                  "x = {a}. Repeat {n} times: x = x + {b}. What is x?",
                  "Set x to {a}. Add {b} to it {n} times. What is x?",
                  "x = {a}\nfor i in range({n}):\n    x = x + {b}\nWhat is the value of x?"],
      ["x = {a}\nfor i in range({n}):\n    x = x + {b}\nprint(x)", "x is {a}. Add {b} to x {n} times. What is x?"],
      cased=True)
def loop(rng, number):
    a, b, n = number(1, 30), rng.randint(2, 9), rng.randint(2, 5)
    steps = [f"{i}: {a + b * (i - 1)}+{b}={a + b * i}" for i in range(1, n + 1)]
    return dict(a=a, b=b, n=n), " ".join(steps), a + b * n


@kind("tracing", ["x = {a}\nif x > {b}:\n    x = x - {c}\nelse:\n    x = x + {c}\nWhat is x?",
                  "x = {a}\nif x > {b}:\n    x = x - {c}\nelse:\n    x = x + {c}\nprint(x)",
                  "x is {a}. If x > {b}, subtract {c}, else add {c}. What is x?",
                  "Set x to {a}. If x > {b}, subtract {c}, else add {c}. What is x now?"],
      ["x = {a}. If x > {b}, subtract {c}, else add {c}. What is x?"], cased=True)
def branch(rng, number):
    a, b, c = number(10, 60), rng.randint(10, 60), rng.randint(2, 9)
    step = f"yes {a}-{c} {subtract_columns(a, c)}" if a > b else f"no {a}+{c} {add_columns(a, c)}"
    return dict(a=a, b=b, c=c), f"{a}>{b}? {compare_columns(a, b)} {step}", a - c if a > b else a + c


kind("tracing", ["Let x = {a}, then y = x + {b}, then x = y * {c}. Give x.",
                 "Run this: x = {a}; y = x + {b}; x = y * {c}; print(x)",
                 "Begin with x = {a}. Now y = x + {b} and x = y * {c}. What does x hold?"], (), cased=True,
     drill=True)(assignments)
kind("tracing", ["Let x be {a}. {n} times, x grows by {b}. What does x hold?", "Take {a} and add {b} to it {n} times.",
                 "Run this {n} times, from x = {a}: x += {b}. Give x.",
                 "x = {a}\nrepeat {n} times:\n    x += {b}\nWhat is x now?"], (), cased=True, drill=True)(loop)
kind("tracing", ["Let x = {a}. If x is over {b} take {c} away, if not add {c}. Give x.",
                 "x = {a}; if x > {b}: x -= {c}, else: x += {c}. What does x hold?",
                 "x = {a}\nif x > {b}:\n    x -= {c}\nelse:\n    x += {c}\nWhat is x now?"], (), cased=True,
     drill=True)(branch)


NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Lena", "Mia", "Nora",
         "Oskar", "Paula", "Tom")
THINGS = ("apples", "books", "cards", "coins", "eggs", "flowers", "pens", "stamps", "stones", "tickets", "toys")
MORE = ("buys {b} more", "gets {b} more", "finds {b} more", "wins {b} more")
LESS = ("gives away {b}", "loses {b}", "sells {b}", "uses {b}")


@kind("words", ["{name} has {a} {thing} and {event}. How many {thing} does {name} have now?",
                "{name} has {a} {thing}. {name} {event}. How many {thing} does {name} have?",
                "{name} had {a} {thing} and then {event}. How many {thing} are there now?"],
      ["{name} has {a} {thing}, then {event}. How many {thing} does {name} have now?",
       "If {name} has {a} {thing} and {event}, how many {thing} are there?"])
def more_or_less(rng, number):
    a, b = number(10, 99), number(2, 60)
    up = rng.random() < 0.5
    if not up:
        a, b = max(a, b) + 1, min(a, b)
    event = rng.choice(MORE if up else LESS).format(b=b)
    return (dict(name=rng.choice(NAMES), thing=rng.choice(THINGS), a=a, event=event),
            add_columns(a, b) if up else subtract_columns(a, b), a + b if up else a - b)


@kind("words", ["There are {n} boxes with {k} {thing} each. How many {thing} are there?",
                "{name} buys {n} bags of {k} {thing} each. How many {thing} does {name} have?",
                "Each of {n} boxes holds {k} {thing}. How many {thing} are there?"],
      ["{name} has {n} boxes with {k} {thing} each. How many {thing} does {name} have?",
       "There are {n} bags of {k} {thing} each. How many {thing} are there?"])
def groups(rng, number):
    n, k = rng.randint(2, 9), number(2, 60)
    return dict(n=n, k=k, name=rng.choice(NAMES), thing=rng.choice(THINGS)), multiply_columns(k, n), n * k


@kind("words", ["{name} shares {t} {thing} equally among {n} friends. How many {thing} does each get?",
                "{t} {thing} are put equally into {n} boxes. How many {thing} are in each box?",
                "{n} friends share {t} {thing} equally. How many does each get?"],
      ["{name} puts {t} {thing} equally into {n} boxes. How many {thing} are in each box?",
       "{t} {thing} are shared equally among {n} friends. How many does each get?"], ranged=False)
def share(rng, _):
    n, k = rng.randint(2, 9), rng.randint(2, 12)
    return dict(t=n * k, n=n, name=rng.choice(NAMES), thing=rng.choice(THINGS)), f"{n * k}/{n}", k


@kind("words", ["One {item} costs {p} dollars. What do {n} cost?",
                "{name} buys {n} {item}s for {p} dollars each. How many dollars does {name} pay?",
                "A {item} costs {p} dollars. How much are {n} {item}s?"],
      ["{name} buys {n} {item}s. Each {item} costs {p} dollars. How many dollars does {name} pay?",
       "One {item} costs {p} dollars. How much are {n} {item}s?"])
def price(rng, number):
    n, p = rng.randint(2, 9), number(2, 50)
    return (dict(n=n, p=p, name=rng.choice(NAMES), item=rng.choice(("book", "lamp", "chair", "ticket", "shirt"))),
            multiply_columns(p, n), n * p)


kind("words", ["{name} started with {a} {thing}. Then {name} {event}. What is the number of {thing} in the end?",
               "First there were {a} {thing}. After that, {name} {event}. Count the {thing} now.",
               "With {a} {thing} in a bag, {name} {event}. What number of {thing} is in the bag?",
               "{name} counts {a} {thing} and {event}. How many {thing} remain with {name}?"], (),
     drill=True)(more_or_less)
kind("words", ["{n} shelves carry {k} {thing} each. What is the number of all {thing}?",
               "On every one of {n} tables lie {k} {thing}. How many {thing} lie on the tables?",
               "{name} fills {n} baskets, {k} {thing} in each. How many {thing} is that in all?",
               "With {k} {thing} in a jar, how many {thing} are in {n} jars?"], (), drill=True)(groups)
kind("words", ["{name} deals {t} {thing} to {n} players, the same number to each. What does one player get?",
               "Split {t} {thing} into {n} equal piles. How many {thing} make a pile?",
               "{n} children divide {t} {thing} fairly. What is the share of one child?",
               "From {t} {thing}, {name} makes {n} equal heaps. How large is a heap?"], (), drill=True)(share)
kind("words", ["At {p} dollars for a {item}, what is the price of {n} {item}s?",
               "{name} wants {n} {item}s, and each one is {p} dollars. What is the bill?",
               "The price of a {item} is {p} dollars. {name} takes {n}. How much money is that?",
               "For {n} {item}s at {p} dollars a piece, how much must {name} pay?"], (), drill=True)(price)
