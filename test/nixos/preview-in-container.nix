# A container of a preview, made and started through hostd's socket as the operator does it: it serves, and what it may
# reach is its database's port, the resolver, and nothing else of the host (promise S1, the part that a test without an
# Internet can show).
{ pkgs, ... }:
let
  guest = import ../../server-config/guest/system.nix {
    # As text, so that evaluating this copies no tree into the store.
    nixpkgs = toString pkgs.path;
    inherit (pkgs.stdenv.hostPlatform) system;
    manifest = builtins.fromJSON (builtins.readFile ./preview-in-container.json);
  };
  system = guest.config.system.build.toplevel;
in
{
  name = "berth-preview-in-container";
  nodes.machine = {
    imports = [ ./a-host.nix ];
    virtualisation.additionalPaths = [ system ];
  };

  testScript = ''
    import json

    machine.start()
    machine.wait_for_unit("berth-hostd.service")
    machine.wait_for_unit("berth-operator.service")

    def ask(verb, **arguments):
        request = json.dumps({"verb": verb, **arguments})
        machine.succeed("cat > /tmp/request <<'END'\n" + request + "\nEND")
        lines = machine.succeed("sudo -u berth nc -U -N /run/berth-hostd/socket < /tmp/request").splitlines()
        answer = json.loads(lines[-1])
        assert "error" not in answer, answer
        return answer["result"]

    name, inside, gateway = "p1", "10.100.0.3", "10.100.0.2"
    with subtest("files are staged by the operator's user"):
        machine.succeed(f"sudo -u berth mkdir -p /var/lib/berth/instances/{name}/source")
        machine.succeed(f"echo hello-from-berth | sudo -u berth tee /var/lib/berth/instances/{name}/source/index.html")

    with subtest("made, started, and the app answers"):
        ask(
            "create-container",
            name=name,
            system="${system}",
            environment={"PREVIEW_BRANCH": "main"},
            limits={"memoryMiB": 512, "cpuPercent": 100, "tasks": 256, "diskMiB": 512},
            units=None,
        )
        ask("start-container", name=name)
        assert ask("start-unit", name=name, unit="preview.target")["ok"]
        machine.wait_until_succeeds(f"curl --silent --fail http://{inside}:3000/index.html | grep -q hello-from-berth", timeout=60)

    with subtest("its root is nobody on the host"):
        leader = machine.succeed(f"machinectl show --property=Leader --value {name}").strip()
        base = int(machine.succeed(f"awk 'NR==1 {{print $2}}' /proc/{leader}/uid_map"))
        assert base >= 524288, base
        assert machine.succeed(f"awk '/^NoNewPrivs/ {{print $2}}' /proc/{leader}/status").strip() == "1"
        assert machine.succeed(f"awk '/^Seccomp:/ {{print $2}}' /proc/{leader}/status").strip() == "2"

    def from_inside(host, port):
        command = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{host}/{port}'"
        return machine.execute(f"nixos-container run {name} -- {command}")[0] == 0

    with subtest("it reaches PostgreSQL at its gateway, and no other port of the host"):
        assert from_inside(gateway, 5432)
        for port in [22, 80, 443, 3100, 8080]:
            assert not from_inside(gateway, port), port
        own = machine.succeed("ip -4 -oneline address show eth0 | awk '{print $4}' | cut -d/ -f1").split()[0]
        for port in [22, 80, 443, 5432]:
            assert not from_inside(own, port), port
        assert not from_inside("169.254.169.254", 80)

    with subtest("an operator's restart does not touch it"):
        machine.succeed("systemctl restart berth-operator berth-hostd")
        machine.succeed(f"curl --silent --fail http://{inside}:3000/index.html")

    with subtest("removed without a trace"):
        ask("remove-container", name=name)
        machine.fail(f"test -e /etc/nixos-containers/{name}.conf")
        machine.fail(f"test -e /var/lib/nixos-containers/{name}")
        machine.fail(f"ip link show ve-{name}")
        assert "ve-p1" not in machine.succeed("nft list table inet berth")
  '';
}
