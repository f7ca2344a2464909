{
  imports = [
    ../../flags.nix
    ./options.nix
    ./assertions.nix
    ./ssh.nix
    ./bans.nix
    ./kernel.nix
    ./nix-daemon.nix
  ];
}
