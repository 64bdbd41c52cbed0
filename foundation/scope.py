"""What a signed-in officer may see and do, as region paths. Deny by default: no path, nothing.

Built by officers/directory.py from the officer's active posts, carried as `request.auth.scope`, used in every
query of every room. Paths are `Region.path` values ("4403/440303/"), so "below" is a prefix.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from foundation.errors import Refusal


@dataclass(frozen=True, slots=True)
class Scope:
    """paths: regions he sees; desk_paths: he staffs the duty desk; command_paths: he approves orders;
    engineer_paths: he keeps the system running there; stations: codes of the objects he answers for."""

    paths: tuple[str, ...] = ()
    desk_paths: tuple[str, ...] = ()
    command_paths: tuple[str, ...] = ()
    engineer_paths: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()

    @property
    def water_paths(self) -> tuple[str, ...]:
        """Water is shown for the whole district of each post (the city for city posts)."""
        return tuple(dict.fromkeys("/".join(path.split("/")[:2]).rstrip("/") + "/" for path in self.paths))

    def sees(self, path: str) -> bool:
        return below(path, self.paths)

    def require_desk(self, path: str) -> None:
        """Raises Refusal 403 unless he staffs the duty desk of this region or one above it."""
        if not below(path, self.desk_paths):
            raise Refusal(
                "desk_only",
                zh="只有本区域或上级的值班岗可以执行此操作。请联系值班室。",
                en="Only the duty desk of this region or above may do this. Ask the duty desk.",
                status=403,
            )

    def require_feeds(self, path: str) -> None:
        """Raises Refusal 403 unless he is the duty engineer or staffs the duty desk of this region or one above."""
        if not below(path, (*self.desk_paths, *self.engineer_paths)):
            raise Refusal(
                "engineer_only",
                zh="只有系统值班或值班岗可以查看。请联系值班室。",
                en="Only the duty engineer or the duty desk may see this. Ask the duty desk.",
                status=403,
            )

    def require_staff(self) -> None:
        """Raises Refusal 403 unless he staffs a desk, commands, or keeps the system running, wherever."""
        if not (self.desk_paths or self.command_paths or self.engineer_paths):
            raise Refusal(
                "staff_only",
                zh="只有值班、指挥或系统值班岗可以查看。",
                en="Only a duty desk, a commander or a duty engineer may see this.",
                status=403,
            )

    def require_command(self, path: str) -> None:
        """Raises Refusal 403 unless he commands this region or one above it."""
        if not below(path, self.command_paths):
            raise Refusal(
                "command_only",
                zh="只有本区域或上级的指挥岗可以批准。请提交给指挥人员。",
                en="Only the command of this region or above may approve. Submit it to a commander.",
                status=403,
            )


def below(path: str, roots: Iterable[str]) -> bool:
    """Whether the path is one of the roots or lies under one."""
    return any(path.startswith(root) for root in roots)
