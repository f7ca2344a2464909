{ pkgs }:
{
  preview-operator = pkgs.callPackage ./preview-operator.nix { };
}
