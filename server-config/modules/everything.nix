# All modules at once, for a host of ours. Which of them act is decided by berth.features.
{
  imports = builtins.attrValues (import ./default.nix);
}
