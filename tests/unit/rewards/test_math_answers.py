"""What the rule `math` pays for: whole expressions that are equal, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.cases import Case
from rewards.maths import score

MINUS_SIGNS = "-\u2212\u2010\u2011\u2012\u2013\u2014\u2796\ufe63\uff0d"

EQUAL = {
    "e-notation": "1e-3 | 0.001 | 1E-03 | 1.0e-3 | 1×10⁻³ | 1*10^-3 | 10^{-3}",
    "big": "6.02e23 | 6.02×10^23 | 6.02 \\times 10^{23} | 6.02·10²³",
    "grouped": "1234567.5 | 1,234,567.5 | 1.234.567,5 | 1 234 567,5 | 1'234'567.5 | 12,34,567.5",
    "full width": "1234.5 | １，２３４．５ | １２３４．５。",
    "minus": " | ".join(f"{sign}5" for sign in MINUS_SIGNS) + " | - 5 | minus five",
    "fraction": r"1/2 | 0.5 | ½ | \frac{1}{2} | \dfrac12 | $\frac{1}{2}$ | half | \boxed{0.5}",
    "mixed": r"3/2 | 1 1/2 | 1½ | 1.5 | 1\frac{1}{2}",
    "mixed in words": "2.5 | 2 and a half | two and a half | two-and-a-half | two and 1/2",
    "mixed with another part": "2 3/4 | two and three quarters | 2 and three-fourths | 2.75",
    "mixed and negative": "-1.5 | minus one and a half | -1 and a half",
    "mixed behind a hundred": "100.5 | a hundred and a half | one hundred and one half",
    "mixed with a unit": "2.5 kg | 2 and a half kg | two and a half kilograms",
    "mixed with a magnitude": "2,500,000 | two and a half million | 2 and a half million",
    "part": "1/6 | one sixth | a sixth",
    "between": r"-1<x<1 | 1>x>-1 | 1 > x > -1 | $1>x>-1$ | -1 < x < 1",
    "between, with ends": r"0 ≤ a < b < 1/2 | 1/2 > b > a ≥ 0 | $0 \le a < b < \frac12$",
    "above": "x > 3 | 3 < x",
    "money": r"$5 | 5 dollars | US$5 | \$5 | $5.00 | 5 USD",
    "negative money": "-$5 | $-5 | −$5.00",
    "much money": "$1.5M | $1.5 million | $1,500,000 | 1.5 million dollars",
    "share": r"50% | 0.5 | 50 percent | 50\% | ５０％ | fifty per cent",
    "magnitude": "10 million | 10,000,000 | ten million | 1e7 | 10M",
    "clock": "3:00 PM | 15:00 | 3 pm | 3:00 p.m. | 03:00PM",
    "date": "July 4, 2020 | 4 July 2020 | 2020-07-04 | 4th of July 2020 | 2020/7/4",
    "speed": "36 km/h | 10 m/s | 10 m s^{-1} | 10 metres per second",
    "area": "5 cm^2 | 5 cm² | 5 square centimetres | 5 ㎠ | 5\\text{ cm}^2",
    "angle": r"90° | 90^\circ | 90^{\circ} | 90 degrees",
    "list": "1, 2, 3 | 1,2,3 | 1; 2; 3 | 1, 2, and 3 | １、２、３",
    "set": r"{1, 2} | {2,1} | \{1, 2\}",
    "equation": "x = 5 | x=5 | $x=5$ | 5 = x",
    "solutions": "x = 1 or x = 2 | x = 2, x = 1",
    "interval": r"[0, ∞) | [0,\infty) | \left[0, \infty\right)",
    "range": "10-20 | 10–20 | 10 to 20",
    "ratio": "3:4 | 3 : 4 | ３：４",
    "option": r"(B) | B | B. | b) | \text{B} | （Ｂ） | **B** | “B”",
    "words": "don't know | Don’t know. | “don't  know”",
    "composed": "caf\u00e9 | cafe\u0301",
}

OTHER = [
    ("Figure 2", "Table 2"),
    ("2", "Table 2"),
    ("Table 2", "2"),
    (r"\text{Figure 2}", r"\text{Table 2}"),
    ("5", "not 5"),
    ("5", "more than 5"),
    ("the 5th", "5"),
    ("5 apples", "5 oranges"),
    ("5 km north", "5 km south"),
    ("3:00 PM", "3:00 AM"),
    ("11:30", "11:45"),
    ("1:15", "3:45"),
    ("12:30", "12/30"),
    ("July 4, 2020", "July 5, 2020"),
    ("2020-07-04", "2020-06-05"),
    ("4/7/2020", "7/4/2020"),
    ("2019-2020", "2018-2019"),
    ("10-20", "-10"),
    ("1e-3", "1"),
    ("1e-3", "1e3"),
    ("1e-7", "2e-7"),
    ("1e-7", "0"),
    ("2e3", "6"),
    ("1e400", "1e401"),
    ("5", "3 4 5"),
    ("60", "3 4 5"),
    ("42", "0 1 2 42"),
    ("42", "42, 42"),
    ("5", "4 or 5"),
    ("5", r"\boxed{4} or \boxed{5}"),
    ("1, 2", "2, 1"),
    ("10 billion", "10 million"),
    ("10", "10 million"),
    ("5k", "5"),
    ("-5", "5"),
    ("x-3", "x+3"),
    ("0.5", "1,234.5"),
    ("1,234", "1.234"),
    ("234", "1,234"),
    ("$5", "€5"),
    ("$1.5M", "$1.5B"),
    ("50%", "5%"),
    ("0.5", "50"),
    ("5 km", "5 m"),
    ("5 mW", "5 MW"),
    ("2√3 cm", "2√3 m"),
    ("5x", "5"),
    ("25", "5²x"),
    ("52", "5²"),
    ("3/4", "4"),
    ("1 1/2", "11/2"),
    ("1/3", "0.33"),
    ("(1,2)", "[1,2]"),
    ("[1,2)", "(1,2]"),
    ("{1, 2}", "{1, 3}"),
    ("x=5", "y=5"),
    ("x+y=5", "5"),
    ("5", "2+2=4=5"),
    ("±5", "5"),
    ("3:4", "4:3"),
    ("4", "3:4"),
    ("(B)", "(A)"),
    ("B", "A or B"),
    ("café", "cafe"),
    ("2.5", "2 and a third"),
    ("2.5", "two and a bit"),
    ("2", "2 and a half"),
    ("0.5", "2 and a half"),
    ("3.5", "2 and three halves"),
    ("2.5", "2.0 and a half"),
    ("20/3", "twenty third"),
    ("4", "twenty-fifth"),
    ("-1<x<1", "1<x<-1"),
    ("-1<x<1", "-1>x>1"),
    ("-1<x<1", "1>x>-2"),
    ("-1<x<1", "1≥x>-1"),
    ("1>x<3", "3>x<1"),
    ("x > 3", "x < 3"),
    (r"1\cdot 10^{-7}\pi", r"2\cdot 10^{-7}\pi"),
]


def is_paid(right: str, given: str) -> bool:
    return score(Case(given, right)) == 1


@pytest.mark.parametrize("kind", EQUAL)
def test_all_spellings_of_an_answer_are_the_same_answer(kind):
    spellings = EQUAL[kind].split(" | ")
    for right in spellings:
        assert [given for given in spellings if not is_paid(right, given)] == [], right


@pytest.mark.parametrize(("right", "given"), OTHER)
def test_another_answer_is_not_paid_whichever_of_both_is_right(right, given):
    assert not is_paid(right, given)
    assert not is_paid(given, right)


def test_a_known_unit_may_be_left_out_and_other_words_may_not():
    assert is_paid("5 km", "5")
    assert is_paid("5", "5 km")
    assert not is_paid("5", "5 apples")
    assert is_paid("1,000 apples", "1000 apples")


def test_only_words_that_announce_the_answer_may_stand_before_it():
    assert is_paid("5", "The answer is 5.")
    assert is_paid("5", r"So the area is \boxed{5}.")
    assert not is_paid("5", "The answer is not 5.")
    assert not is_paid("5", "I guess 5")


numbers = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=3)


def spellings_of(number: Decimal) -> list[str]:
    sign, plain = ("-" if number < 0 else ""), f"{abs(number):,.3f}"
    european = plain.replace(",", " ").replace(".", ",").replace(" ", ".")
    exact = Fraction(number)
    return [
        f"{number:f}",
        f"{sign}{plain}",
        f"\u2212{plain}" if sign else f"+{plain}",
        f"{number:.15e}",
        f"{exact.numerator}/{exact.denominator}",
        f"{sign}{plain}".translate({ord(a): ord(a) + 0xFEE0 for a in "0123456789.,"}),
        f"${sign}{plain}",
        *([f"{sign}{european}"] if european.count(".") > 0 else []),
    ]


@given(number=numbers, other=numbers)
def test_a_numbers_spellings_are_equal_and_other_numbers_are_not(number, other):
    spellings = spellings_of(number)
    for given_text in spellings:
        assert is_paid(spellings[0], given_text), given_text
        assert is_paid(given_text, spellings[1]), given_text
    if number != other:
        assert not any(
            is_paid(right, wrong) for right in spellings for wrong in spellings_of(other)
        )


pieces = st.sampled_from(
    [
        *("1", "2", "10", ".5", ",", ", ", " ", "-", "\u2212", "/", ":", "%", "$", "€", "e"),
        *(
            "(",
            ")",
            "{",
            "}",
            "[",
            "]",
            "x=",
            "x",
            " cm",
            " km",
            " million",
            "half",
            " PM",
            "July ",
            "2020",
        ),
        *("Table ", " and ", "\\frac{1}{2}", "\\text{", "^2", "½", "Ａ", "。", "“", "'"),
    ]
)
texts = st.lists(pieces, min_size=1, max_size=6).map("".join)


class Never:
    """A judge that knows no formulas to be equal, so that no child is asked."""

    left_s = asked = unjudged = 0
    reason = ""

    def comparisons(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def is_equal(self, right, given):
        return False


@given(one=texts, other=texts)
def test_which_of_two_texts_is_the_right_one_does_not_matter(one, other):
    judge = Never()
    assert score(Case(one, other), judge) == score(Case(other, one), judge)
    assert score(Case(one, one), judge) == float(bool(one.strip()) or not one.strip())
