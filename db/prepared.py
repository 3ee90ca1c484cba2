"""Statements of the calls that come all the time, compiled once and handed to the driver.

To execute one by SQLAlchemy takes several times what the database needs for a row that it finds by
its key. What is converted on the way (times, JSON, truth values) is converted here by the same
types, and what the driver raises is raised as SQLAlchemy's, by which it is answered.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from db import postgresql

Process = Callable[[Any], Any]


class Part(Session):
    """A session of one of several writes of a connection. It begins its own transaction when it is
    first used for more than prepared statements, which is seldom.

    Attributes:
        driver: the driver's own connection.
        dialect: the database's.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(
            connection, join_transaction_mode="create_savepoint", expire_on_commit=False
        )
        self.driver: Any = connection.connection.driver_connection
        self.dialect = connection.dialect

    def close(self) -> None:
        """Nothing where it was not used: to let go of nothing takes as long as a statement."""
        if self.in_transaction() or self.identity_map:
            super().close()


class Prepared:
    """A statement that is executed as it is compiled the first time.

    What was changed of a session's objects is not flushed before it.

    Args:
        columns: of an insertion: those that its parameters are.
    """

    def __init__(
        self,
        statement: Select[Any] | Insert | Update | Delete,
        columns: Sequence[str] | None = None,
    ) -> None:
        self._statement, self._columns = statement, columns
        self._forms: dict[str, _Form] = {}

    def one_or_none(self, session: Session, asked: Mapping[str, Any]) -> Any:
        """The only row, with its columns by name and by place; None where there is none."""
        driver, form = self._on(session)
        found = form.rows(driver, form.given(asked))
        if len(found) > 1:
            raise RuntimeError(f"{len(found)} rows, where there is one at most")
        return found[0] if found else None

    def one(self, session: Session, asked: Mapping[str, Any]) -> Any:
        """The only row, which is there."""
        row = self.one_or_none(session, asked)
        if row is None:
            raise RuntimeError("no row, where there is always one")
        return row

    def whole(self, session: Session, asked: Mapping[str, Any]) -> Any:
        """`one_or_none` of a statement that is all that a work does, unless it finds no row: where
        the work has a transaction of its own, it is committed at once."""
        if isinstance(session, Part) and session.dialect.name == "postgresql":
            with postgresql.by_itself(session.driver):
                return self.one_or_none(session, asked)
        return self.one_or_none(session, asked)

    def run(self, session: Session, asked: Mapping[str, Any]) -> None:
        """Executes what returns no rows."""
        driver, form = self._on(session)
        form.execute(driver.execute, form.given(asked))

    def run_each(self, session: Session, asked: Iterable[Mapping[str, Any]]) -> None:
        """The same once for each."""
        driver, form = self._on(session)
        form.execute(driver.cursor().executemany, [form.given(each) for each in asked])

    def _on(self, session: Session) -> tuple[Any, _Form]:
        if isinstance(session, Part):
            driver, dialect = session.driver, session.dialect
        else:
            connection = session.connection()
            driver, dialect = connection.connection.driver_connection, connection.dialect
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _form(self._statement, self._columns, dialect)
        return driver, form


@dataclass(slots=True)
class _Form:
    """A statement as one kind of database takes it.

    Attributes:
        places: for each parameter, its name in the text, what it is called by the caller, and what
            converts it.
        fixed: values of the parameters that the statement has itself, by their names in the text.
        order: names of the parameters by their places; None where the text has the names.
        types: of the columns.
        kind: of the rows.
        converted: places of the columns to be converted, and what converts them; None until there
            were rows, since that also depends on what the driver makes of a column.
    """

    text: str
    dialect: Dialect
    places: Sequence[tuple[str, str, Process | None]]
    fixed: Mapping[str, Any]
    order: Sequence[str] | None
    types: Sequence[TypeEngine[Any]]
    kind: Any
    converted: Sequence[tuple[int, Process]] | None = None

    def given(self, asked: Mapping[str, Any]) -> Any:
        """The parameters as the driver takes them."""
        named = dict(self.fixed)
        for name, key, process in self.places:
            value = asked[key]
            named[name] = value if process is None else process(value)
        return named if self.order is None else [named[name] for name in self.order]

    def execute(self, by: Callable[[str, Any], Any], given: Any) -> Any:
        try:
            return by(self.text, given)
        except self.dialect.loaded_dbapi.Error as error:
            raise raised(error, self.dialect, self.text) from error

    def rows(self, driver: Any, given: Any) -> list[Any]:
        def fetch(text: str, given: Any) -> list[Any]:
            cursor = driver.execute(text, given)
            if self.converted is None:
                self.converted = list(self._converting([c[1] for c in cursor.description]))
            rows: list[Any] = cursor.fetchall()
            return rows

        return [self._row(row) for row in self.execute(fetch, given)]

    def _converting(self, kinds: Sequence[Any]) -> Iterator[tuple[int, Process]]:
        """What converts the columns, by their places.

        Args:
            kinds: of the columns, as the driver tells them.
        """
        for i, (type_, kind) in enumerate(zip(self.types, kinds, strict=True)):
            process = type_.dialect_impl(self.dialect).result_processor(self.dialect, kind)
            if process is not None:
                yield i, process

    def _row(self, found: Sequence[Any]) -> Any:
        row = list(found)
        for place, process in self.converted or ():
            row[place] = process(row[place])
        return self.kind._make(row)


def raised(error: Exception, dialect: Dialect, text: str | None = None) -> Exception:
    """What SQLAlchemy raises for an error of the driver."""
    base = dialect.loaded_dbapi.Error
    return DBAPIError.instance(text, None, error, base, hide_parameters=True, dialect=dialect)


def _form(statement: Any, columns: Sequence[str] | None, dialect: Dialect) -> _Form:
    compiled: SQLCompiler = statement.compile(dialect=dialect, column_keys=columns)
    if compiled.insert_prefetch or compiled.update_prefetch or compiled.post_compile_params:
        raise ValueError(f"more than the database is needed to execute {compiled}")
    places, fixed = [], {}
    for name, parameter in compiled.binds.items():
        process = parameter.type.dialect_impl(dialect).bind_processor(dialect)
        if parameter.required:
            places.append((name, parameter.key, process))
        else:
            value = parameter.effective_value
            fixed[name] = value if process is None else process(value)
    shown = list(statement.exported_columns)
    return _Form(
        text=str(compiled),
        dialect=dialect,
        places=places,
        fixed=fixed,
        order=compiled.positiontup,
        types=[column.type for column in shown],
        kind=namedtuple("Row", [str(getattr(c, "name", "")) for c in shown], rename=True),
    )
