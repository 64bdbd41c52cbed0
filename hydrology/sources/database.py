"""Reading somebody else's database: where it is, as whom, in a read-only transaction, never longer than allowed.

Owns the connection of a Source of kind `database` and the words for what goes wrong with it. Only SELECTs built by
SQLAlchemy Core pass through here. No pool: a poll a minute does not keep a session open at the source. The account
should have SELECT only; PostgreSQL, MySQL and MariaDB are told besides that the transaction reads only, SQL Server has
no such word.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, Select, create_engine, exc, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from foundation.errors import Refusal
from hydrology.models import Source
from hydrology.science.sl323_mapping import BadMapping, DatabaseMapping, database_mapping
from hydrology.sources.fetched import fault, secret_of

CONNECT_S = 5
DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "mssql": "mssql+pymssql",
}
# the other parameters of drivers may read files or run statements
_QUERY = {"charset", "host", "sslmode", "sslrootcert", "ssl_ca", "tds_version", "unix_socket"}


class Unreachable(Refusal):
    """The database itself does not answer: asking for the next table is no use."""


def mapping_of(source: Source) -> DatabaseMapping:
    """The mapping of a source; raises Refusal naming the faulty field."""
    try:
        return database_mapping(source.mapping)
    except BadMapping as error:
        raise fault(
            f"mapping.{error.field}",
            f"映射 {error.field}：{error.zh}。",
            f"Mapping {error.field} {error.en}.",
        ) from error


def check(source: Source) -> None:
    """Raises Refusal when the source cannot be meant; the secret is not looked at."""
    mapping_of(source)
    if source.address:
        url_of(Source(address=source.address))


def url_of(source: Source) -> URL:
    """Where to connect and as whom. The variable of `secret_env` holds the password, or the whole URL."""
    secret = secret_of(source)
    whole = "://" in secret
    try:
        url = make_url(secret if whole else source.address)
    except (exc.ArgumentError, ValueError):  # a port that is no number
        raise fault(
            "secret_env" if whole else "address",
            "不是数据库地址，请按 postgresql://用户@主机:端口/库名 填写；口令中的 @ : / 写作 %40 %3A %2F。",
            "Not the address of a database: write it like postgresql://user@host:port/name; "
            "in a password write @ : / as %40 %3A %2F.",
        ) from None  # the error may quote the password
    if url.password and not whole:
        raise fault(
            "address",
            "地址中不得写密码，请放入环境变量并在 secret_env 写明变量名。",
            "The address must not hold a password: put it in an environment variable and name that in secret_env.",
        )
    backend = url.get_backend_name()
    if backend not in DRIVERS:
        raise fault(
            "address",
            f"不支持 {backend}，可用 {'、'.join(DRIVERS)}。",
            f"{backend} is not supported: use one of {', '.join(DRIVERS)}.",
        )
    if strange := sorted(set(url.query) - _QUERY):
        raise fault(
            "address",
            f"地址参数 {strange[0]} 不可用，可用 {'、'.join(sorted(_QUERY))}。",
            f"The parameter {strange[0]} is not allowed: {', '.join(sorted(_QUERY))} are.",
        )
    url = url.set(drivername=DRIVERS[backend])
    return url if whole or not secret else url.set(password=secret)


def engine_of(source: Source, mapping: DatabaseMapping) -> Engine:
    """An engine that has not connected yet; dispose of it. Raises Refusal."""
    url = url_of(source)
    return create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args=_patience(url.get_backend_name(), mapping.timeout_s),
    )


def rows_of(engine: Engine, mapping: DatabaseMapping, wanted: Select[Any]) -> list[dict[str, Any]]:
    """The rows of one SELECT, in a read-only transaction that is rolled back. Raises Refusal."""
    try:
        with engine.connect() as connection:
            try:
                for statement in opening(connection, mapping):
                    connection.execute(text(statement))
                return [dict(row) for row in connection.execute(wanted).mappings()]
            finally:
                connection.rollback()
    except exc.DBAPIError as error:
        raise _said(engine.url, error) from error
    except exc.SQLAlchemyError as error:
        raise fault("mapping", f"无法组成查询：{error}。", f"No query can be made of it: {error}.") from error


def opening(connection: Connection, mapping: DatabaseMapping) -> list[str]:
    """What is said before the SELECT: read only, no longer than this, times of this zone."""
    milliseconds = mapping.timeout_s * 1000
    backend = connection.dialect.name
    if backend == "postgresql":
        return [
            "SET TRANSACTION READ ONLY",
            f"SET LOCAL statement_timeout = {milliseconds}",
            f"SET LOCAL TIME ZONE '{mapping.zone.key}'",
        ]
    if backend in ("mysql", "mariadb"):
        limit = (
            f"max_statement_time = {mapping.timeout_s}"
            if getattr(connection.dialect, "is_mariadb", False)
            else f"max_execution_time = {milliseconds}"
        )
        # a TIMESTAMP is shown in the session's zone; names of zones are loaded on few servers, offsets always hold
        return [f"SET SESSION {limit}, time_zone = '{_offset(mapping.zone)}'", "START TRANSACTION READ ONLY"]
    return [f"SET LOCK_TIMEOUT {milliseconds}"]


def _offset(zone: ZoneInfo) -> str:
    """`+08:00`; of a zone with summer time its winter offset."""
    return datetime(2000, 1, 1, tzinfo=zone).isoformat()[-6:]


def _patience(backend: str, timeout_s: int) -> dict[str, Any]:
    """Time-outs of the driver, for a network that swallows what is sent."""
    if backend == "postgresql":
        return {"connect_timeout": CONNECT_S, "tcp_user_timeout": (timeout_s + CONNECT_S) * 1000}
    if backend == "mysql":
        return {
            "connect_timeout": CONNECT_S,
            "read_timeout": timeout_s + CONNECT_S,
            "write_timeout": timeout_s + CONNECT_S,
        }
    return {"login_timeout": CONNECT_S, "timeout": timeout_s + CONNECT_S}


def _said(url: URL, error: exc.DBAPIError) -> Refusal:
    """What the driver said, without the password, and what to look at."""
    words = " ".join(str(error.orig).split())[:200]
    if url.password:
        words = words.replace(url.password, "***")
    where = f"{url.host or ''}/{url.database or ''}"
    if error.statement is None or error.connection_invalidated:
        refusal = fault(
            "address",
            f"无法连接数据库 {where}：{words}。请检查地址、账号、网络与防火墙。",
            f"The database {where} does not answer: {words}. Check address, account, network and firewall.",
        )
        return Unreachable(
            refusal.code, zh=refusal.zh, en=refusal.en, status=refusal.status, fields=refusal.fields
        )
    if any(sign in words.lower() for sign in ("timeout", "timed out", "statement_time", "execution time")):
        return fault(
            "mapping.timeout_s",
            f"数据库 {where} 查询超时：{words}。请为时间列建索引，或减小 overlap_s，或加大 timeout_s。",
            f"The database {where} took too long: {words}. Have its time column indexed, or shorten overlap_s, "
            "or give timeout_s more.",
        )
    return fault(
        "mapping",
        f"数据库 {where} 拒绝查询：{words}。请核对映射中的表名与列名（没有的列写 null）及查询权限。",
        f"The database {where} refused the query: {words}. Check names of tables and columns in the mapping "
        "(null for a column it has not), and the right to SELECT.",
    )
